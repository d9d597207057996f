"""Any corpus as lhotse's manifests: a file of recordings and one of supervisions for each part."""

from __future__ import annotations

from pathlib import Path

from asr_kd.data.manifest import Utterance
from asr_kd.errors import CorpusError
from data_prep.common import CorpusOptions, PreparedCorpus, write_corpus
from data_prep.lhotse_adapter import read_lhotse_manifests, require_text, utterances_of
from data_prep.words import CHARACTERS, Case, lexicon_of, with_plain_words


class Options(CorpusOptions):
    """Options of a corpus in lhotse's manifests.

    Attributes:
        prefix: Of the files ``PREFIX_recordings_PART.jsonl.gz``, where the folder holds several corpora.
        train: Parts that make up train.
        dev: Parts for tuning.
        test: Parts that are scored once.
        transfer: Parts for the student's soft targets alone; their text is not needed.
        case: Of the words; ``lower`` and ``upper`` take punctuation off, ``as_is`` leaves the text alone.
        lexicon: ``characters``, or a lexicon file, below the corpus folder unless it is absolute.
        strip_stress: Take the digits off the ends of the file's phones.
        speakers_disjoint: Refuse a speaker in two splits; those of train may be in transfer too.
    """

    prefix: str = ""
    train: tuple[str, ...] = ("train",)
    dev: tuple[str, ...] = ("dev",)
    test: tuple[str, ...] = ("test",)
    transfer: tuple[str, ...] = ()
    case: Case = "as_is"
    lexicon: str = CHARACTERS
    strip_stress: bool = False
    speakers_disjoint: bool = True

    def files_read(self, corpus: Path) -> list[Path]:
        """Return the manifests, and the lexicon when it is a file."""
        parts = [*self.train, *self.dev, *self.test, *self.transfer]
        patterns = [pattern for part in parts for pattern in _patterns(self.prefix, part)]
        manifests = [path for pattern in patterns for path in corpus.glob(pattern)]
        return manifests if self.lexicon == CHARACTERS else [*manifests, corpus / self.lexicon]


def prepare(corpus: Path | None, out: Path, options: Options) -> PreparedCorpus:
    """Prepare the corpus from the folder that holds lhotse's manifests.

    Relative audio paths start from that folder, the one above it or the current one.

    Raises:
        CorpusError: Without a folder, for a part without files, and for untranscribed utterances.
        ManifestError, AudioError: As :func:`data_prep.lhotse_adapter.utterances_of`.
        LexiconError: When the lexicon is malformed.
        ConfigError: When lhotse is not installed.
    """
    if corpus is None or not corpus.is_dir():
        raise CorpusError(
            "no lhotse manifests to read" if corpus is None else "no such folder",
            where="lhotse" if corpus is None else corpus,
            hint="give the folder of *_recordings_*.jsonl.gz and *_supervisions_*.jsonl.gz with --corpus DIR",
        )
    parts = {
        "train": options.train,
        "dev": options.dev,
        "test": options.test,
        "transfer": options.transfer,
    }
    read = {
        split: [row for name in names for row in _read_part(corpus, options.prefix, name)]
        for split, names in parts.items()
        if names
    }
    require_text(read, str(corpus))
    splits, notes = with_plain_words(read, options.case)
    lexicon = lexicon_of(options.lexicon, splits, corpus, strip_stress=options.strip_stress)
    return write_corpus(
        out,
        name=options.prefix or "lhotse",
        splits=splits,
        lexicon=lexicon,
        source="lhotse manifests",
        licence="the user's own",
        options=options,
        speakers_disjoint=options.speakers_disjoint,
        notes=notes,
    )


def _patterns(prefix: str, part: str) -> list[str]:
    return [f"{prefix}*{what}_{part}.json*" for what in ("recordings", "supervisions")]


def _read_part(corpus: Path, prefix: str, part: str) -> list[Utterance]:
    recordings, supervisions = (_one_file(corpus, pattern) for pattern in _patterns(prefix, part))
    return utterances_of(
        *read_lhotse_manifests(recordings, supervisions),
        roots=[corpus, corpus.parent, Path()],
        where=supervisions.name,
    )


def _one_file(corpus: Path, pattern: str) -> Path:
    found = sorted(corpus.glob(pattern))
    if len(found) == 1:
        return found[0]
    raise CorpusError(
        "several files fit" if found else "no such manifest",
        where=corpus / pattern,
        expected="one file",
        got=", ".join(path.name for path in found[:3]) or None,
        hint="say which with --set corpus.options.prefix=PREFIX"
        if found
        else "name the parts with --set corpus.options.train=[PART], and dev and test alike",
    )
