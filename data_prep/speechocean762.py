"""speechocean762 (OpenSLR SLR101): read English sentences by speakers whose first language is Mandarin."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from asr_kd.data.kaldi_dir import read_kaldi_dir, read_table
from asr_kd.data.manifest import Utterance
from asr_kd.errors import ConfigError, CorpusError, ManifestError
from data_prep.common import CorpusOptions, PreparedCorpus, corpus_root, write_corpus
from data_prep.download import Archive, fetch
from data_prep.lexicons import read_pronunciations

# OpenSLR states no checksum for SLR101: the number of utterances of a download is checked instead.
ARCHIVE = Archive(
    name="speechocean762",
    file_name="speechocean762.tar.gz",
    url="https://www.openslr.org/resources/101/speechocean762.tar.gz",
)
NUM_UTTERANCES = {"train": 2500, "test": 2500}
_TABLES = ("wav.scp", "text", "utt2spk", "spk2age", "spk2gender")
_NEEDED = [
    "WAVE",
    "resource/lexicon.txt",
    *(f"{split}/{table}" for split in ("train", "test") for table in _TABLES),
]
_FIRST_ADULT_AGE = 16


class Options(CorpusOptions):
    """Options of the speechocean762 corpus.

    Attributes:
        dev_speakers: How many speakers of train become dev, in proportion to children and adults,
            men and women; which ones, depends on a hash of their names alone.
        strip_stress: Take the stress digits off the phones.
    """

    dev_speakers: int = Field(default=10, ge=1)
    strip_stress: bool = True

    def files_read(self, corpus: Path) -> list[Path]:
        """Return tables and lexicon, in the folder or that of the archive."""
        return [root / name for root in (corpus, corpus / "speechocean762") for name in _NEEDED]


def prepare(corpus: Path | None, out: Path, options: Options) -> PreparedCorpus:
    """Prepare speechocean762 from its folder (audio as ``wav.scp`` names it) or a download.

    Raises:
        CorpusError: For a folder that lacks what the corpus has, and for a download of another size.
        ManifestError, AudioError, LexiconError: For a malformed line or audio that cannot be read.
        ConfigError: When dev would take all the speakers.
    """
    given = fetch(ARCHIVE) if corpus is None else corpus
    root = corpus_root(given, _NEEDED, "speechocean762", ["speechocean762"])
    official = {split: read_kaldi_dir(root / split, root=root) for split in ("train", "test")}
    if corpus is None:
        _check_download(official, root)
    dev_speakers = choose_dev_speakers(_strata(root / "train", official["train"]), options.dev_speakers)
    splits = {
        "train": [row for row in official["train"] if row.speaker not in dev_speakers],
        "dev": [row for row in official["train"] if row.speaker in dev_speakers],
        "test": official["test"],
    }
    notes = [
        f"dev is {len(dev_speakers)} speakers of the official train half.",
        *(
            f"{len(rows):,} of {NUM_UTTERANCES[split]:,} utterances of the official {split} half are here."
            for split, rows in official.items()
            if len(rows) != NUM_UTTERANCES[split]
        ),
    ]
    return write_corpus(
        out,
        name="speechocean762",
        splits=splits,
        lexicon=read_pronunciations(root / "resource" / "lexicon.txt", strip_stress=options.strip_stress),
        source="OpenSLR SLR101",
        licence="free for commercial and non-commercial use",
        options=options,
        notes=notes,
    )


def choose_dev_speakers(strata: Mapping[str, Iterable[str]], num_speakers: int) -> set[str]:
    """Choose speakers out of strata in proportion to the strata's sizes, by a hash of their names.

    Args:
        strata: Speakers by stratum.
        num_speakers: How many to choose.

    Raises:
        ConfigError: When there are not more speakers than that.
    """
    ordered = {
        stratum: sorted(speakers, key=lambda speaker: hashlib.sha256(speaker.encode()).hexdigest())
        for stratum, speakers in sorted(strata.items())
    }
    total = sum(len(speakers) for speakers in ordered.values())
    if num_speakers >= total:
        raise ConfigError(
            "dev_speakers leaves nobody to train on",
            where="speechocean762",
            expected=f"fewer than the {total} speakers of train",
            got=num_speakers,
        )
    shares = {stratum: num_speakers * len(speakers) / total for stratum, speakers in ordered.items()}
    quotas = {stratum: int(share) for stratum, share in shares.items()}
    by_remainder = sorted(ordered, key=lambda stratum: (quotas[stratum] - shares[stratum], stratum))
    for stratum in by_remainder[: num_speakers - sum(quotas.values())]:
        quotas[stratum] += 1
    return {speaker for stratum, speakers in ordered.items() for speaker in speakers[: quotas[stratum]]}


def _strata(folder: Path, utterances: Sequence[Utterance]) -> dict[str, set[str]]:
    """Return the speakers by child or adult and gender."""
    ages, genders = read_table(folder / "spk2age"), read_table(folder / "spk2gender")
    strata: dict[str, set[str]] = defaultdict(set)
    for speaker in {row.speaker for row in utterances}:
        if speaker not in ages or speaker not in genders or not ages[speaker].isdecimal():
            raise ManifestError(
                f'speaker "{speaker}" has no age or gender', where=folder / "spk2age", expected="both tables"
            )
        group = "child" if int(ages[speaker]) < _FIRST_ADULT_AGE else "adult"
        strata[f"{group}-{genders[speaker]}"].add(speaker)
    return strata


def _check_download(official: Mapping[str, Sequence[Utterance]], root: Path) -> None:
    for split, rows in official.items():
        if len(rows) != NUM_UTTERANCES[split]:
            raise CorpusError(
                "the download is not speechocean762",
                where=root / split,
                expected=f"{NUM_UTTERANCES[split]} utterances",
                got=len(rows),
                hint="remove the folder and run again",
            )
