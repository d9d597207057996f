"""TIMIT (LDC93S1), from the user's licensed copy: phones are the words, scored in 39 classes."""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from asr_kd.data.folders import files_below
from asr_kd.data.manifest import Utterance
from asr_kd.errors import CorpusError
from asr_kd.lang.phones import SILENCE
from data_prep.common import CorpusOptions, PreparedCorpus, write_corpus
from data_prep.lhotse_adapter import import_lhotse, prepared_by_lhotse, utterances_of

NUM_CORE_SPEAKERS = 24
_KINDS = (".WAV", ".TXT", ".WRD", ".PHN")
_ROOTS = ("TRAIN", "TEST")
_SPLITS = {"train": "TRAIN", "dev": "DEV", "test": "TEST"}
_SILENCE_WORD = "sil"


class Options(CorpusOptions):
    """Options of the TIMIT corpus.

    Attributes:
        phones: Modelled phones: 48, or the 39 classes in which errors are counted either way.
    """

    phones: Literal[48, 39] = 48


def prepare(corpus: Path | None, out: Path, options: Options) -> PreparedCorpus:
    """Prepare TIMIT from the folder that holds TRAIN and TEST, in capitals or not.

    Train is the 462 speakers of TRAIN, dev 50 speakers of TEST, test the core test set of 24 others; the
    sentences SA1 and SA2, which every speaker says, are left out. The transcripts are the phones of the
    ``.PHN`` files, folded, without the glottal stop q.

    Raises:
        CorpusError: Without a corpus folder, for one that is not TIMIT or lacks core speakers or files.
        ManifestError, AudioError: For what cannot be read.
        ConfigError: When lhotse is not installed.

    Source: Lee & Hon 1989, "Speaker-Independent Phone Recognition Using Hidden Markov Models" (folding).
    """
    if corpus is None:
        raise CorpusError(
            "TIMIT needs a licence and is not downloaded",
            where="timit",
            hint="give your copy of LDC93S1 with --corpus DIR",
        )
    recipe = import_lhotse("lhotse.recipes.timit")
    fold, classes = _foldings(recipe, options.phones)
    with tempfile.TemporaryDirectory() as folder:
        _link(_find_root(corpus), Path(folder) / "data")
        manifests = prepared_by_lhotse(recipe.prepare_timit, Path(folder), num_phones=60)
        splits = {split: _utterances(manifests[part], fold, part) for split, part in _SPLITS.items()}
    _check_core(splits["test"], corpus)
    words = sorted(set(fold.values()) - {""})
    return write_corpus(
        out,
        name="timit",
        splits=splits,
        lexicon=[(word, (SILENCE if word == _SILENCE_WORD else word,)) for word in words],
        source="LDC93S1, the user's copy",
        licence="LDC",
        options=options,
        score_words={word: classes[word] for word in words},
        notes=[
            "Words are phones: the error rate is that of phones in 39 classes, silence among them.",
            "SA1 and SA2 are left out; test is the core test set of 24 speakers, dev 50 others of TEST.",
        ],
    )


def _foldings(recipe: Any, num_phones: int) -> tuple[dict[str, str], dict[str, str]]:
    """Return the folding of the 61 phones of ``.PHN`` files, and that of what it gives into 39 classes."""
    to_model, to_class = recipe.get_phonemes(num_phones), recipe.get_phonemes(39)
    fold = {phone: to_model[phone] for phone in to_class}
    classes: dict[str, str] = {}
    for phone, word in fold.items():
        assert classes.setdefault(word, to_class[phone]) == to_class[phone], f"{word} is in two classes"
    return fold, classes


def _find_root(corpus: Path) -> Path:
    """Return the folder with TRAIN and TEST, the corpus folder or one or two levels below it."""
    if not corpus.is_dir():
        raise CorpusError("no such corpus folder", where=corpus, hint="unpack LDC93S1 and give its folder")
    for folder in (corpus, *sorted(corpus.glob("*/")), *sorted(corpus.glob("*/*/"))):
        if {"TRAIN", "TEST"} <= {path.name.upper() for path in folder.iterdir() if path.is_dir()}:
            return folder
    raise CorpusError(
        "the folder is not TIMIT",
        where=corpus,
        expected="folders TRAIN and TEST with DR1/SPEAKER/SENTENCE.WAV .PHN .WRD .TXT",
        hint="give the folder of LDC93S1 as its archive unpacks it",
    )


def _link(root: Path, folder: Path) -> None:
    """Make links in the names that lhotse reads (capitals, below ``data``) to all sentences but SA1 and SA2.

    Raises:
        CorpusError: For a sentence that lacks one of its four files.
    """
    sentences: dict[Path, dict[str, Path]] = defaultdict(dict)
    for path in files_below(root):
        parts = [part.upper() for part in path.relative_to(root).parts]
        # Packed anew, TIMIT has SX1.WAV.wav beside SX1.WAV.
        is_copy = Path(path.stem).suffix.upper() in _KINDS
        if len(parts) == 4 and parts[0] in _ROOTS and path.suffix.upper() in _KINDS and not is_copy:
            name = Path(*parts[:3], Path(parts[3]).stem)
            if not name.name.startswith("SA"):
                sentences[name][path.suffix.upper()] = path
    for name, files in sentences.items():
        missing = [kind for kind in _KINDS if kind not in files]
        if missing:
            raise CorpusError(
                f"a sentence lacks {', '.join(missing)}",
                where=next(iter(files.values())),
                expected=f"files {', '.join(_KINDS)}",
                hint="restore it from your copy of LDC93S1",
            )
        for kind, path in files.items():
            link = (folder / name).with_suffix(kind)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.absolute())


def _utterances(manifests: Mapping[str, Any], fold: Mapping[str, str], part: str) -> list[Utterance]:
    rows = utterances_of(manifests["recordings"], manifests["supervisions"], roots=[Path()], where=part)
    texts = {}
    for supervision in manifests["supervisions"]:
        phones = [item.symbol for item in supervision.alignment["phone"]]
        unknown = sorted(set(phones) - set(fold))
        if unknown:
            raise CorpusError(
                f'"{unknown[0]}" is not a phone of TIMIT',
                where=f"{supervision.id}.PHN",
                expected=f"one of {' '.join(sorted(fold))}",
            )
        texts[supervision.id] = " ".join(fold[phone] for phone in phones if fold[phone])
    return [replace(row, text=texts[row.utt_id], audio=os.path.realpath(row.audio)) for row in rows]


def _check_core(test: list[Utterance], corpus: Path) -> None:
    speakers = {row.speaker for row in test}
    if len(speakers) != NUM_CORE_SPEAKERS:
        raise CorpusError(
            "the core test set is not whole",
            where=corpus,
            expected=f"{NUM_CORE_SPEAKERS} speakers",
            got=len(speakers),
            hint="restore TEST from your copy of LDC93S1",
        )
