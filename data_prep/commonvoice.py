"""Mozilla Common Voice: one language of a release, as TSV files and a folder of clips."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

from pydantic import Field

from asr_kd.data.manifest import Utterance
from asr_kd.errors import ConfigError, CorpusError
from data_prep.common import CorpusOptions, PreparedCorpus, corpus_root, write_corpus
from data_prep.lhotse_adapter import import_lhotse, prepared_by_lhotse, require_text, utterances_of
from data_prep.words import CHARACTERS, Case, lexicon_of, with_plain_words

_PARTS = ("train", "dev", "test")
_COLUMNS = ("client_id", "path", "sentence", "age", "gender", "accents", "variant")


class Options(CorpusOptions):
    """Options of the Common Voice corpus.

    Attributes:
        language: Folder of the language in the release (``de``, ``cy``, ``zh-CN``); not needed where the
            corpus folder is that of the language.
        case: Of the words; ``lower`` and ``upper`` take punctuation off, ``as_is`` leaves the text alone.
        lexicon: ``characters``, or a lexicon file, below the corpus folder unless it is absolute.
        strip_stress: Take the digits off the ends of the file's phones.
        num_processes: That read the clips' headers.
    """

    language: str | None = None
    case: Case = "lower"
    lexicon: str = CHARACTERS
    strip_stress: bool = False
    num_processes: int = Field(default=2, ge=1, exclude=True)

    def files_read(self, corpus: Path) -> list[Path]:
        """Return the tables of the language, and the lexicon when it is a file."""
        tables = [corpus / (self.language or "") / f"{part}.tsv" for part in _PARTS]
        return tables if self.lexicon == CHARACTERS else [*tables, corpus / self.lexicon]


def prepare(corpus: Path | None, out: Path, options: Options) -> PreparedCorpus:
    """Prepare one language of a release; its speakers are disjoint in the official splits.

    Raises:
        CorpusError: Without a corpus folder (a download needs an account), for a folder that lacks a file,
            and for clips that are missing.
        ManifestError, AudioError, LexiconError: For what is malformed or cannot be read.
        ConfigError: When the language is not said, or lhotse is not installed.
    """
    if corpus is None:
        raise CorpusError(
            "Common Voice is not downloaded by itself",
            where="commonvoice",
            hint="get a release at commonvoice.mozilla.org, unpack it and give its folder: --corpus DIR",
        )
    root = _language_folder(corpus, options.language)
    read = _read_splits(root, options.num_processes)
    require_text(read, str(root))
    splits, notes = with_plain_words(read, options.case)
    lexicon = lexicon_of(options.lexicon, splits, corpus, strip_stress=options.strip_stress)
    return write_corpus(
        out,
        name=f"commonvoice-{root.name}",
        splits=splits,
        lexicon=lexicon,
        source="Mozilla Common Voice",
        licence="CC0",
        options=options,
        notes=notes,
    )


def _language_folder(corpus: Path, language: str | None) -> Path:
    needed = ["clips", *(f"{part}.tsv" for part in _PARTS)]
    if language is None and not (corpus / "train.tsv").is_file():
        found = sorted(path.parent.name for path in corpus.glob("*/train.tsv"))
        if len(found) > 1:
            raise ConfigError(
                "the release has several languages",
                where=corpus,
                expected=f"one of {', '.join(found)}",
                hint="--set corpus.options.language=LANGUAGE",
            )
        language = found[0] if found else None
    folder = corpus if language is None else corpus / language
    return corpus_root(folder, needed, "a language of Common Voice").absolute()


def _read_splits(root: Path, num_processes: int) -> dict[str, list[Utterance]]:
    for part in _PARTS:
        _check_columns(root / f"{part}.tsv")
    prepare_commonvoice = import_lhotse("lhotse.recipes.commonvoice").prepare_commonvoice
    with tempfile.TemporaryDirectory() as folder:
        manifests = prepared_by_lhotse(
            prepare_commonvoice,
            root.parent,
            output_dir=folder,
            languages=[root.name],
            splits=_PARTS,
            num_jobs=num_processes,
        )[root.name]
        return {part: _read_part(root, part, manifests[part]) for part in _PARTS}


def _check_columns(path: Path) -> None:
    """Refuse a table without the columns that lhotse reads, as those of early releases are."""
    with path.open(encoding="utf-8", newline="") as stream:
        columns = next(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE), [])
    if missing := [name for name in _COLUMNS if name not in columns]:
        raise CorpusError(
            f"the table lacks {', '.join(missing)}",
            where=path,
            expected=f"columns {', '.join(_COLUMNS)}",
            hint="get a later release, or add columns of these names, which may be empty",
        )


def _read_part(root: Path, part: str, manifests: dict[str, Any]) -> list[Utterance]:
    rows = utterances_of(
        manifests["recordings"], manifests["supervisions"], roots=[Path()], where=f"{part}.tsv"
    )
    # lhotse leaves out clips that are missing and says so in a process where nobody hears it.
    with (root / f"{part}.tsv").open(encoding="utf-8", newline="") as stream:
        clips = [row["path"] for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)]
    missing = [clip for clip in clips if not (root / "clips" / clip).is_file()]
    if missing:
        raise CorpusError(
            f"{len(missing):,} of {len(clips):,} clips are missing",
            where=root / f"{part}.tsv",
            got=f"no clips/{missing[0]}",
            hint="unpack the archive again",
        )
    return rows
