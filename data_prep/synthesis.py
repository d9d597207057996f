"""Synthesise a list of utterances in a fresh process: ``python -m data_prep.synthesis SPEC OUT``.

eSpeak's output is the same bit by bit only in a fresh process with the same calls in the same order,
so that each split is one process that reads a JSON file and writes FLAC files and ``phones.jsonl``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from asr_kd.atomic import write_json
from asr_kd.data.audio import resample, write_audio
from asr_kd.errors import AsrKdError, CorpusError
from asr_kd.progress import say, track
from data_prep.espeak import Speech, Synthesiser
from data_prep.espeak_phones import SILENCE, PhoneSegment, SpokenWord, segment
from data_prep.noise import Samples, babble_noise, mix, pink_noise, speech_level, white_noise

PHONES_FILE = "phones.jsonl"


@dataclass(frozen=True)
class Prompt:
    """What to synthesise and how.

    Attributes:
        utt_id: Name of the FLAC file, too.
        text: Words in lower case.
        accent: eSpeak's language file, as ``gmw/en-US``.
        variant: eSpeak's voice variant, as ``f3``.
        rate: Words a minute.
        pitch: 0 to 99.
        pitch_range: 0 to 99.
        lead: Seconds of noise before the speech.
        tail: Seconds of noise behind it.
        noise: One of white, pink and babble.
        snr_db: Level of the speech over the noise.
        level_db: Level of the speech over full scale.
        seed: Of the noise, and of the breath in the voice.
    """

    utt_id: str
    text: str
    accent: str
    variant: str
    rate: int = 165
    pitch: int = 50
    pitch_range: int = 50
    lead: float = 0.1
    tail: float = 0.1
    noise: str = "white"
    snr_db: float = 30.0
    level_db: float = -26.0
    seed: int = 0


@dataclass(frozen=True)
class SynthesisSpec:
    """All that one process synthesises.

    Attributes:
        prompts: In the order of synthesis.
        talkers: Spoken first; what they say is babble noise for the prompts.
        sampling_rate: Of the files, in Hz.
    """

    prompts: Sequence[Prompt]
    talkers: Sequence[Prompt] = field(default_factory=tuple)
    sampling_rate: int = 16000


@dataclass(frozen=True)
class SpokenPhones:
    """The true phones of a synthesised utterance, at the file's sampling rate.

    Attributes:
        utt_id: As in the manifest.
        segments: From the first sample to the last without a gap; pauses are ``SIL``.
        words: Which segments belong to which word, in order.
    """

    utt_id: str
    segments: list[PhoneSegment]
    words: list[SpokenWord]

    def pronunciations(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return each word with its phones as spoken."""
        return [
            (
                row.word,
                tuple(
                    part.phone for part in self.segments[row.first_phone : row.first_phone + row.num_phones]
                ),
            )
            for row in self.words
        ]


def synthesise(spec: SynthesisSpec, out: Path) -> list[SpokenPhones]:
    """Synthesise in a process of its own: ``out/UTT_ID.flac`` of each prompt and ``out/phones.jsonl``.

    Raises:
        CorpusError: When the process fails; it has said why.
    """
    out.mkdir(parents=True, exist_ok=True)
    spec_path = out / "spec.json"
    write_json(spec_path, asdict(spec))
    package_root = str(Path(__file__).resolve().parent.parent)
    paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    command = [sys.executable, "-m", "data_prep.synthesis", str(spec_path), str(out)]
    # One thread: the work is many small pieces, and a second thread would only wait for the first.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(command, env=environment, check=False)  # noqa: S603  no shell, our own module
    if finished.returncode != 0:
        raise CorpusError("the speech synthesis failed", where=out, got=f"exit status {finished.returncode}")
    spec_path.unlink()
    return read_phones(out / PHONES_FILE)


def read_phones(path: Path) -> list[SpokenPhones]:
    """Read ``phones.jsonl``: the true phones of each utterance, a ground truth for alignments."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        rows.append(
            SpokenPhones(
                row["utt_id"],
                [PhoneSegment(*values) for values in row["phones"]],
                [SpokenWord(*values) for values in row["words"]],
            )
        )
    return rows


def _read_spec(path: Path) -> SynthesisSpec:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return SynthesisSpec(
        [Prompt(**row) for row in values["prompts"]],
        [Prompt(**row) for row in values["talkers"]],
        values["sampling_rate"],
    )


def _run(spec: SynthesisSpec, out: Path) -> None:
    synthesiser = Synthesiser()
    talkers = [
        resample(_speak(synthesiser, prompt).samples, synthesiser.sampling_rate, spec.sampling_rate)
        for prompt in spec.talkers
    ]
    with (out / PHONES_FILE).open("w", encoding="utf-8") as stream:
        for prompt in track(spec.prompts, f"synthesising {out.name}", len(spec.prompts), "utterances"):
            speech = _speak(synthesiser, prompt)
            spoken, samples = _utterance(prompt, speech, talkers, spec.sampling_rate)
            write_audio(out / f"{prompt.utt_id}.flac", samples, spec.sampling_rate)
            stream.write(_row(prompt, spoken) + "\n")


def _speak(synthesiser: Synthesiser, prompt: Prompt) -> Speech:
    return synthesiser.speak(
        prompt.text,
        f"{prompt.accent}+{prompt.variant}",
        rate=prompt.rate,
        pitch=prompt.pitch,
        pitch_range=prompt.pitch_range,
        seed=prompt.seed,
    )


def _utterance(
    prompt: Prompt, speech: Speech, talkers: Sequence[Samples], rate: int
) -> tuple[SpokenPhones, Samples]:
    """Return the true phones at the file's rate, and the speech with its noise."""
    segments, words = segment(speech, prompt.text, prompt.accent)
    clean = resample(speech.samples, speech.sampling_rate, rate)
    lead, tail = round(prompt.lead * rate), round(prompt.tail * rate)
    padded = np.pad(clean, (lead, tail))
    rng = np.random.default_rng(prompt.seed)
    if prompt.noise == "babble":
        noise = babble_noise(len(padded), rng, talkers)
    else:
        noise = {"white": white_noise, "pink": pink_noise}[prompt.noise](len(padded), rng)
    level = speech_level(clean, rate)
    samples = mix(padded, noise, level=level, snr_db=prompt.snr_db, level_db=prompt.level_db)
    moved = _at_rate(segments, speech.sampling_rate, rate, lead, len(samples))
    shift = int(moved[0].phone == SILENCE != segments[0].phone)
    words = [SpokenWord(row.word, row.first_phone + shift, row.num_phones) for row in words]
    return SpokenPhones(prompt.utt_id, moved, words), samples


def _at_rate(
    segments: Sequence[PhoneSegment], from_rate: int, to_rate: int, lead: int, num_samples: int
) -> list[PhoneSegment]:
    """Return segments at another rate behind ``lead`` samples, silence widened to both ends of the file."""
    rows = list(segments)
    if rows[0].phone != SILENCE:
        rows.insert(0, PhoneSegment(SILENCE, 0, rows[0].start_sample))
    if rows[-1].phone != SILENCE:
        rows.append(PhoneSegment(SILENCE, rows[-1].end_sample, rows[-1].end_sample))
    starts = [0, *(lead + round(row.start_sample * to_rate / from_rate) for row in rows[1:])]
    moved = zip(rows, starts, [*starts[1:], num_samples], strict=True)
    return [replace(row, start_sample=start, end_sample=end) for row, start, end in moved if start < end]


def _row(prompt: Prompt, spoken: SpokenPhones) -> str:
    return json.dumps(
        {
            **asdict(prompt),
            "phones": [list(astuple(row)) for row in spoken.segments],
            "words": [list(astuple(row)) for row in spoken.words],
        }
    )


def main(arguments: Sequence[str]) -> int:
    """Synthesise what a JSON file says; return the exit status."""
    try:
        _run(_read_spec(Path(arguments[0])), Path(arguments[1]))
    except AsrKdError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
