"""LibriSpeech (OpenSLR 12) and mini LibriSpeech (OpenSLR 31), with the lexicon of OpenSLR 11."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import field_validator

from asr_kd.data.manifest import Utterance
from asr_kd.errors import CorpusError
from data_prep.common import CorpusOptions, PreparedCorpus, corpus_root, write_corpus
from data_prep.download import Archive, cache_folder, download, fetch
from data_prep.lexicons import read_pronunciations
from data_prep.lhotse_adapter import import_lhotse, prepared_by_lhotse, require_text, utterances_of

LEXICON = "librispeech-lexicon.txt"
_OPENSLR = "https://www.openslr.org/resources"
_TRAIN = {
    "mini": ("train-clean-5",),
    "100": ("train-clean-100",),
    "960": ("train-clean-100", "train-clean-360", "train-other-500"),
}
_MINI_DEV = "dev-clean-2"
# The checksums that torchaudio ships with its LIBRISPEECH data set; for OpenSLR 31 and 11 there are none.
_SHA256 = {
    "dev-clean": "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3",
    "dev-other": "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365",
    "test-clean": "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23",
    "test-other": "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29",
    "train-clean-100": "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
    "train-clean-360": "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf",
    "train-other-500": "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2",
}


class Options(CorpusOptions):
    """Options of the LibriSpeech corpus.

    Attributes:
        size: ``mini`` (5 h), ``100`` or ``960`` hours of train. In ``mini`` the speakers of dev-clean-2 are
            shared out evenly between dev and test, by a hash of their names.
        condition: ``clean`` or ``other`` dev and test; ``mini`` has ``clean`` alone.
        lexicon: A lexicon file, below the corpus folder unless it is absolute; by default that of OpenSLR 11,
            from the corpus folder or downloaded.
        strip_stress: Take the stress digits off the phones.
    """

    size: Literal["mini", "100", "960"] = "100"
    condition: Literal["clean", "other"] = "clean"
    lexicon: str | None = None
    strip_stress: bool = True

    @field_validator("size", mode="before")
    @classmethod
    def _number_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value

    def files_read(self, corpus: Path) -> list[Path]:
        """Return the lexicon."""
        return [corpus / self.lexicon] if self.lexicon is not None else _lexicon_places(corpus)


def prepare(corpus: Path | None, out: Path, options: Options) -> PreparedCorpus:
    """Prepare LibriSpeech from the folder of its parts (or that of ``LibriSpeech``), or from downloads.

    Raises:
        CorpusError: For a folder that lacks a part, and for audio or transcripts that are missing.
        ManifestError, AudioError, LexiconError: For what is malformed or cannot be read.
        ConfigError: When lhotse is not installed.
    """
    is_mini = options.size == "mini"
    train = _TRAIN[options.size]
    dev = _MINI_DEV if is_mini else f"dev-{options.condition}"
    test = f"test-{options.condition}"
    rows = _read_parts(corpus, [*train, dev] if is_mini else [*train, dev, test])
    splits = {"train": [row for part in train for row in rows[part]], "dev": rows[dev]}
    if is_mini:
        splits["dev"], splits["test"] = _halves(rows[dev])
    else:
        splits["test"] = rows[test]
    require_text(splits, "librispeech")
    lexicon_file = _lexicon_file(corpus, options.lexicon)
    lexicon = read_pronunciations(lexicon_file, strip_stress=options.strip_stress)
    notes = [f"dev and test are two halves of the speakers of {_MINI_DEV}."] if is_mini else []
    return write_corpus(
        out,
        name="librispeech",
        splits=splits,
        lexicon=lexicon,
        source="OpenSLR SLR31" if is_mini else "OpenSLR SLR12",
        licence="CC BY 4.0",
        options=options,
        notes=notes,
    )


def _read_parts(corpus: Path | None, parts: Sequence[str]) -> dict[str, list[Utterance]]:
    prepare_librispeech = import_lhotse("lhotse.recipes.librispeech").prepare_librispeech
    rows = {}
    for part in parts:
        root = corpus_root(_fetch(part) if corpus is None else corpus, [part], "LibriSpeech", ["LibriSpeech"])
        manifests = prepared_by_lhotse(prepare_librispeech, root, dataset_parts=[part])[part]
        rows[part] = utterances_of(
            manifests["recordings"], manifests["supervisions"], roots=[Path()], where=f"{root / part}"
        )
        if not rows[part]:
            raise CorpusError(
                "the part has no utterances",
                where=root / part,
                expected="folders SPEAKER/CHAPTER with SPEAKER-CHAPTER.trans.txt and FLAC files",
            )
    return rows


def _fetch(part: str) -> Path:
    number = 12 if part in _SHA256 else 31
    return fetch(
        Archive(
            name=f"librispeech-{part}",
            file_name=f"{part}.tar.gz",
            url=f"{_OPENSLR}/{number}/{part}.tar.gz",
            sha256=_SHA256.get(part),
        )
    )


def _lexicon_places(corpus: Path) -> list[Path]:
    return [folder / LEXICON for folder in (corpus, corpus / "LibriSpeech", corpus.parent)]


def _lexicon_file(corpus: Path | None, given: str | None) -> Path:
    """Return the lexicon: the user's, or that of OpenSLR 11 from the corpus folder, the cache or its home."""
    if given is not None:
        return (corpus or Path()) / given
    places = [] if corpus is None else _lexicon_places(corpus)
    cached = cache_folder() / LEXICON
    for path in (*places, cached):
        if path.is_file():
            return path
    download(f"{_OPENSLR}/11/{LEXICON}", cached, corpus="the lexicon of LibriSpeech")
    return cached


def _halves(rows: Sequence[Utterance]) -> tuple[list[Utterance], list[Utterance]]:
    names = {row.speaker for row in rows}
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    first = set(ordered[: max(1, len(ordered) // 2)])
    return [row for row in rows if row.speaker in first], [row for row in rows if row.speaker not in first]
