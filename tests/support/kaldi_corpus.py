"""A Kaldi corpus of tones laid out like an ``s5`` folder: recordings with segments, and a dict directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asr_kd.data.audio import write_audio
from tests.support.tone_corpus import PITCH, RATE, SPEAKERS, WORDS, speak


def make_kaldi_corpus(folder: Path, utterances: int = 14) -> Path:
    """Write ``data`` and one recording a speaker below ``folder``; return ``data``."""
    data = folder / "data"
    for split, speakers in SPEAKERS.items():
        tables: dict[str, list[str]] = {"wav.scp": [], "segments": [], "text": [], "utt2spk": []}
        for speaker in speakers:
            _write_speaker(folder, speaker, utterances, tables)
        for name, lines in tables.items():
            write_lines(data / split / name, *lines)
    dictionary = data / "local" / "dict"
    lines = [f"{word} {' '.join(phones)}" for word, phones in WORDS.items()]
    write_lines(dictionary / "lexicon.txt", "!SIL sil", *lines)
    write_lines(dictionary / "optional_silence.txt", "sil")
    return data


def _write_speaker(folder: Path, speaker: str, utterances: int, tables: dict[str, list[str]]) -> None:
    random = np.random.default_rng(int(speaker[1:]))
    parts, position = [], 0
    for number in range(utterances):
        words = list(random.choice(list(WORDS), size=random.integers(2, 5)))
        parts.append(speak(words, PITCH[speaker], random))
        utt_id, end = f"{speaker}-{number:02}", position + len(parts[-1])
        tables["segments"].append(f"{utt_id} rec-{speaker} {position / RATE:.4f} {end / RATE:.4f}")
        tables["text"].append(f"{utt_id} {' '.join(words)}")
        tables["utt2spk"].append(f"{utt_id} {speaker}")
        position = end
    path = folder / "wav" / f"{speaker}.flac"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, np.concatenate(parts), RATE)
    tables["wav.scp"].append(f"rec-{speaker} wav/{speaker}.flac")


def write_lines(path: Path, *lines: str) -> None:
    """Write a text file with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
