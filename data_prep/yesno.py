"""yesno (OpenSLR SLR1): 60 recordings of eight Hebrew words each, yes (ken) or no (lo), by one speaker."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field

from asr_kd.errors import ConfigError, CorpusError
from data_prep.common import CorpusOptions, PreparedCorpus, describe_audio, write_corpus
from data_prep.download import Archive, fetch
from data_prep.pronunciations import Pronunciation

# The checksum is the one that torchaudio ships with its YESNO data set.
ARCHIVE = Archive(
    name="yesno",
    file_name="waves_yesno.tar.gz",
    url="https://www.openslr.org/resources/1/waves_yesno.tar.gz",
    sha256="c3f49e0cca421f96b75b41640749167b52118f232498667ca7a5f9416aef8e73",
)
NUM_RECORDINGS = 60
NUM_TRAIN_AND_DEV = 31
_NAME = re.compile(r"[01](_[01]){7}")
_LEXICONS: dict[str, list[Pronunciation]] = {
    "phones": [("YES", ("K", "E", "N")), ("NO", ("L", "O"))],
    "words": [("YES", ("YES",)), ("NO", ("NO",))],
}


class Options(CorpusOptions):
    """Options of the yesno corpus.

    Attributes:
        num_dev: Recordings of the training half kept for tuning.
        lexicon: "phones" spells the Hebrew words in phones, "words" takes a whole word as one phone
            (which then wants more HMM states than three).
    """

    num_dev: int = Field(default=6, ge=1)
    lexicon: Literal["phones", "words"] = "phones"


def prepare(corpus: Path | None, out: Path, options: Options) -> PreparedCorpus:
    """Prepare yesno from a folder of its recordings (WAV or FLAC, or below ``waves_yesno``) or a download.

    The split is Kaldi's: of the sorted recordings the last 29 are test. Of the first 31 every fifth
    or so (``num_dev`` in all, evenly spread) is dev and the rest train.

    Raises:
        CorpusError: For a folder that does not hold the 60 recordings.
        ConfigError: When dev would take all that there is to train on.
    """
    if options.num_dev >= NUM_TRAIN_AND_DEV:
        raise ConfigError(
            "num_dev leaves nothing to train on",
            where="yesno",
            expected=f"fewer than {NUM_TRAIN_AND_DEV}",
            got=options.num_dev,
        )
    recordings = _recordings(fetch(ARCHIVE) if corpus is None else corpus)
    dev_indexes = {NUM_TRAIN_AND_DEV * (2 * k + 1) // (2 * options.num_dev) for k in range(options.num_dev)}
    rows = [
        describe_audio(path, utt_id=f"yesno-{path.stem}", speaker="yesno", text=_text(path.stem))
        for path in recordings
    ]
    splits = {
        "train": [row for k, row in enumerate(rows[:NUM_TRAIN_AND_DEV]) if k not in dev_indexes],
        "dev": [row for k, row in enumerate(rows[:NUM_TRAIN_AND_DEV]) if k in dev_indexes],
        "test": rows[NUM_TRAIN_AND_DEV:],
    }
    return write_corpus(
        out,
        name="yesno",
        splits=splits,
        lexicon=_LEXICONS[options.lexicon],
        source="OpenSLR SLR1",
        licence="free",
        options=options,
        speakers_disjoint=False,
        notes=["One speaker: the split is by recording, its test half is Kaldi's."],
    )


def _text(name: str) -> str:
    return " ".join("YES" if digit == "1" else "NO" for digit in name.split("_"))


def _recordings(corpus: Path) -> list[Path]:
    if not corpus.is_dir():
        what = "is a file, not a corpus folder" if corpus.exists() else "no such corpus folder"
        raise CorpusError(what, where=corpus, hint="give the folder of yesno's recordings")
    folder = corpus / "waves_yesno" if (corpus / "waves_yesno").is_dir() else corpus
    audio = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".wav", ".flac"))
    wrong = [path.name for path in audio if not _NAME.fullmatch(path.stem)]
    if wrong or len({path.stem for path in audio}) != len(audio) or len(audio) != NUM_RECORDINGS:
        got = f'"{wrong[0]}"' if wrong else f"{len(audio)} recordings"
        raise CorpusError(
            "the folder is not yesno",
            where=folder,
            expected=f"{NUM_RECORDINGS} recordings named like 0_1_1_0_1_0_0_1.wav (or .flac)",
            got=got,
            hint="give the folder waves_yesno as its archive unpacks it",
        )
    return sorted(audio, key=lambda path: path.stem)
