"""A corpus that the tests make themselves: words are pairs of tones, speakers differ in pitch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asr_kd.data.audio import write_audio
from asr_kd.data.manifest import Utterance
from data_prep.common import CorpusOptions, PreparedCorpus, write_corpus

RATE = 8000
TONES = {"A": 420.0, "B": 900.0, "C": 1600.0, "D": 2600.0}
WORDS = {"alba": ("A", "B"), "boca": ("B", "C"), "cado": ("C", "D"), "dora": ("D", "A")}
SPEAKERS = {"train": ("s1", "s2", "s3", "s4"), "dev": ("s5",), "test": ("s6", "s7")}
PITCH = {"s1": 0.94, "s2": 0.98, "s3": 1.02, "s4": 1.06, "s5": 0.96, "s6": 1.0, "s7": 1.04}


class Options(CorpusOptions):
    """How many utterances each speaker says, and the level of the noise."""

    utterances: int = 14
    noise: float = 0.02
    seed: int = 0


def prepare(corpus: Path | None, out: Path, options: Options) -> PreparedCorpus:
    """Make the corpus; ``corpus`` is not needed."""
    (out / "audio").mkdir()
    splits = {
        split: [
            _utterance(out, speaker, number, options)
            for speaker in names
            for number in range(options.utterances)
        ]
        for split, names in SPEAKERS.items()
    }
    return write_corpus(
        out,
        name="tones",
        splits=splits,
        lexicon=list(WORDS.items()),
        source="made by the tests",
        licence="none",
        options=options,
    )


def _utterance(out: Path, speaker: str, number: int, options: Options) -> Utterance:
    random = np.random.default_rng([options.seed, int(speaker[1:]), number])
    words = list(random.choice(list(WORDS), size=random.integers(2, 5)))
    samples = speak(words, PITCH[speaker], random, options.noise)
    name = f"{speaker}-{number:02}"
    write_audio(out / "audio" / f"{name}.flac", samples, RATE)
    return Utterance(name, speaker, f"audio/{name}.flac", len(samples), RATE, " ".join(words))


def speak(words: list[str], pitch: float, random: np.random.Generator, noise: float = 0.02) -> np.ndarray:
    """Return float32 samples of words with pauses around them."""
    return speak_timed(words, pitch, random, noise)[0]


def speak_timed(
    words: list[str], pitch: float, random: np.random.Generator, noise: float = 0.02
) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Return float32 samples and the start and end of each word in seconds."""
    parts, times = [_pause(random)], []
    for word in words:
        start = sum(map(len, parts)) / RATE
        parts += [_tone(TONES[phone] * pitch, random.uniform(0.09, 0.15)) for phone in WORDS[word]]
        times.append((start, sum(map(len, parts)) / RATE))
        parts.append(_pause(random))
    samples = np.concatenate(parts)
    return (samples + noise * random.standard_normal(len(samples))).astype(np.float32), times


def _pause(random: np.random.Generator) -> np.ndarray:
    return np.zeros(int(random.uniform(0.05, 0.15) * RATE))


def _tone(frequency: float, seconds: float) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    return 0.3 * np.sin(2 * np.pi * frequency * time) * np.hanning(len(time)) ** 0.25
