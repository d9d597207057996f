"""Free Spoken Digit Dataset: English digits by six speakers, one at a time and joined to strings."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from asr_kd.data.audio import Audio, load_audio, write_audio
from asr_kd.data.manifest import Utterance
from asr_kd.errors import ConfigError, CorpusError
from asr_kd.progress import track
from data_prep.common import CorpusOptions, PreparedCorpus, describe_audio, write_corpus
from data_prep.download import Archive, fetch
from data_prep.pronunciations import Pronunciation

# GitHub makes this archive anew and states no checksum: the names of a download's recordings are checked.
ARCHIVE = Archive(
    name="fsdd",
    file_name="free-spoken-digit-dataset.tar.gz",
    url="https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/heads/master.tar.gz",
)
NUM_RECORDINGS = 3000
_NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[A-Za-z]+)_(?P<index>\d+)")
_DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
_LEXICON = """
ZERO Z IH R OW
ZERO Z IY R OW
ONE W AH N
TWO T UW
THREE TH R IY
FOUR F AO R
FIVE F AY V
SIX S IH K S
SEVEN S EH V AH N
EIGHT EY T
NINE N AY N
"""
_PEAK = 0.98
_FADE_SECONDS = 0.003


class Options(CorpusOptions):
    """Options of the FSDD corpus.

    Attributes:
        split: "speaker" holds out whole speakers; "official" takes recordings 0 to 4 of each speaker
            and digit as test, 5 to 9 as dev and the rest as train.
        dev_speakers: Held out for dev; the default goes by the alphabet.
        test_speakers: Held out for test; the default goes by the alphabet.
        isolated: Take the recordings themselves as utterances, too.
        train_string_passes: How often each train recording is used in strings; each dev and test
            recording is used once (but for a rest of fewer than ``min_digits``).
        min_digits: Of a string.
        max_digits: Of a string.
        min_pause: Between the digits of a string, in seconds.
        max_pause: Between the digits of a string, in seconds.
        noise_snr_db: Level of the digits over the white noise that fills the pauses.
        seed: Of the choice of recordings, pauses and noise.
    """

    split: Literal["speaker", "official"] = "speaker"
    dev_speakers: tuple[str, ...] = ("nicolas",)
    test_speakers: tuple[str, ...] = ("theo", "yweweler")
    isolated: bool = True
    train_string_passes: int = Field(default=2, ge=0)
    min_digits: int = Field(default=3, ge=1)
    max_digits: int = Field(default=7, ge=1)
    min_pause: float = Field(default=0.1, ge=0.0)
    max_pause: float = Field(default=0.5, ge=0.0)
    noise_snr_db: float = 35.0
    seed: int = 0


@dataclass(frozen=True)
class Recording:
    """One spoken digit."""

    path: Path
    digit: int
    speaker: str
    index: int


def prepare(corpus: Path | None, out: Path, options: Options) -> PreparedCorpus:
    """Prepare FSDD from its folder (or ``recordings`` below it, WAV or FLAC) or a download.

    Isolated digits have utt_ids that begin with ``iso-``, strings ``str-``; a string's audio is
    written to ``out/audio`` and joins recordings of one speaker and one split.

    Raises:
        CorpusError: For a folder that is not FSDD.
        ConfigError: For speakers that the corpus lacks, and limits that contradict each other.
    """
    if options.min_digits > options.max_digits or options.min_pause > options.max_pause:
        raise ConfigError("min_digits or min_pause is above its max", where="fsdd")
    recordings = find_recordings(fetch(ARCHIVE) if corpus is None else corpus)
    if corpus is None and len(recordings) != NUM_RECORDINGS:
        raise CorpusError(
            "the download is not FSDD",
            where=ARCHIVE.url,
            expected=f"{NUM_RECORDINGS} recordings",
            got=len(recordings),
            hint="give a copy with --corpus DIR",
        )
    parts = split_recordings(recordings, options)
    (out / "audio").mkdir(parents=True, exist_ok=True)
    splits = {split: _utterances(split, part, out, options) for split, part in parts.items()}
    return write_corpus(
        out,
        name="fsdd",
        splits=splits,
        lexicon=_lexicon(),
        source="GitHub Jakobovski/free-spoken-digit-dataset",
        licence="CC BY-SA 4.0",
        options=options,
        speakers_disjoint=options.split == "speaker",
        notes=[
            f"{len(recordings):,} recordings; utt_ids iso-*: one digit, str-*: digits of one speaker joined.",
            f"Strings: {options.min_digits} to {options.max_digits} digits, pauses of {options.min_pause} to "
            f"{options.max_pause} s filled with white noise {options.noise_snr_db} dB below the digits.",
            *(["Official split: all speakers are in all splits."] if options.split == "official" else []),
        ],
    )


def find_recordings(corpus: Path) -> list[Recording]:
    """Return all recordings below ``recordings``, wherever the archive puts that.

    Raises:
        CorpusError: When there are none, or one has a name that is not FSDD's.
    """
    folders = [
        corpus / "recordings",
        *sorted(corpus.glob("free-spoken-digit-dataset*/recordings")),
        corpus,
    ]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        raise CorpusError("no such corpus folder", where=corpus, hint="give the folder of FSDD")
    audio = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".wav", ".flac"))
    recordings = []
    for path in audio:
        match = _NAME.fullmatch(path.stem)
        if match is None:
            raise _not_fsdd(folder, f'"{path.name}"')
        recordings.append(Recording(path, int(match["digit"]), match["speaker"], int(match["index"])))
    keys = {(row.digit, row.speaker, row.index) for row in recordings}
    if len(keys) < len(recordings):
        raise _not_fsdd(folder, "a recording both as WAV and FLAC")
    if {row.digit for row in recordings} != set(range(10)):
        raise _not_fsdd(
            folder, f"{len(recordings)} recordings of {len({r.digit for r in recordings})} digits"
        )
    return recordings


def split_recordings(recordings: Sequence[Recording], options: Options) -> dict[str, list[Recording]]:
    """Divide recordings into train, dev and test as the options say.

    Raises:
        ConfigError: For held-out speakers that are not there, or are dev and test at once.
    """
    if options.split == "official":
        splits = {"test": range(5), "dev": range(5, 10)}
        return {
            "train": [row for row in recordings if row.index >= 10],
            **{name: [row for row in recordings if row.index in indexes] for name, indexes in splits.items()},
        }
    speakers = {row.speaker for row in recordings}
    held_out = [*options.dev_speakers, *options.test_speakers]
    unknown = sorted(set(held_out) - speakers)
    if unknown or len(set(held_out)) < len(held_out) or speakers <= set(held_out):
        raise ConfigError(
            "dev_speakers and test_speakers do not divide the speakers",
            where="fsdd",
            expected=f"different ones of {', '.join(sorted(speakers))}, and one left for train",
            got=", ".join(held_out),
        )
    return {
        "train": [row for row in recordings if row.speaker not in held_out],
        "dev": [row for row in recordings if row.speaker in options.dev_speakers],
        "test": [row for row in recordings if row.speaker in options.test_speakers],
    }


def join_digits(digits: Sequence[Audio], rng: np.random.Generator, options: Options) -> NDArray[np.float32]:
    """Join recordings with random pauses before, between and behind them, over low white noise.

    Args:
        digits: Recordings of one rate.
        rng: Draws pauses and noise.
        options: Pauses and level of the noise.

    Returns:
        float32 [N] below full scale.
    """
    rate = digits[0].sampling_rate
    pauses = rng.uniform(options.min_pause, options.max_pause, size=len(digits) + 1)
    pieces = [np.zeros(round(pauses[0] * rate), dtype=np.float32)]
    for digit, pause in zip(digits, pauses[1:], strict=True):
        pieces += [_faded(digit.samples, rate), np.zeros(round(pause * rate), dtype=np.float32)]
    speech = np.concatenate(pieces)
    digit_samples = np.concatenate([digit.samples for digit in digits]).astype(np.float64)
    level = np.sqrt(np.mean(digit_samples**2)) * 10 ** (-options.noise_snr_db / 20)
    joined = speech + level * rng.standard_normal(len(speech))
    limited: NDArray[np.float32] = (joined * min(1.0, _PEAK / np.abs(joined).max())).astype(np.float32)
    return limited


def _utterances(split: str, part: Sequence[Recording], out: Path, options: Options) -> list[Utterance]:
    rows: list[Utterance] = []
    if options.isolated:
        rows += [
            describe_audio(
                row.path,
                utt_id=f"iso-{row.speaker}-{row.digit}-{row.index:02}",
                speaker=row.speaker,
                text=_DIGITS[row.digit],
            )
            for row in part
        ]
    by_speaker: dict[str, list[Recording]] = defaultdict(list)
    for row in part:
        by_speaker[row.speaker].append(row)
    strings = list(_strings(split, by_speaker, options))
    for utt_id, members in track(strings, f"joining digits ({split})", len(strings), "strings"):
        digits = [load_audio(row.path, utt_id=utt_id) for row in members]
        rates = {digit.sampling_rate for digit in digits}
        if len(rates) > 1:
            raise CorpusError(
                "recordings of one speaker have several rates", where=members[0].path, got=rates
            )
        path = out / "audio" / f"{utt_id}.flac"
        write_audio(path, join_digits(digits, _rng(options.seed, utt_id), options), rates.pop())
        text = " ".join(_DIGITS[row.digit] for row in members)
        rows.append(
            describe_audio(path, utt_id=utt_id, speaker=members[0].speaker, text=text, relative_to=out)
        )
    return rows


def _strings(
    split: str, by_speaker: Mapping[str, Sequence[Recording]], options: Options
) -> Iterator[tuple[str, list[Recording]]]:
    """Yield utt_id and recordings of each string: shuffled recordings, cut at random lengths."""
    num_passes = options.train_string_passes if split == "train" else 1
    for speaker, recordings in sorted(by_speaker.items()):
        for number in range(num_passes):
            rng = _rng(options.seed, f"{split} {speaker} {number}")
            left = [recordings[k] for k in rng.permutation(len(recordings))]
            count = 0
            while len(left) >= options.min_digits:
                length = int(rng.integers(options.min_digits, options.max_digits + 1))
                yield f"str-{speaker}-{split}{number}-{count:03}", left[:length]
                left, count = left[length:], count + 1


def _rng(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def _faded(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """Ramp both ends: the recordings are cut close, and a step would be heard as a click."""
    ramp = np.linspace(0.0, 1.0, min(round(_FADE_SECONDS * rate), len(samples) // 2), dtype=np.float32)
    faded = samples.copy()
    if len(ramp):
        faded[: len(ramp)] *= ramp
        faded[-len(ramp) :] *= ramp[::-1]
    return faded


def _lexicon() -> list[Pronunciation]:
    lines = [line.split() for line in _LEXICON.splitlines() if line]
    return [(word, tuple(phones)) for word, *phones in lines]


def _not_fsdd(folder: Path, got: str) -> CorpusError:
    return CorpusError(
        "the folder is not FSDD",
        where=folder,
        expected="recordings named like 7_jackson_32.wav (or .flac), of all ten digits",
        got=got,
        hint="give the folder free-spoken-digit-dataset as its archive unpacks it",
    )
