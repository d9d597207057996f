"""Any Kaldi data directories, with the pronunciations of a dict or lang directory."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from asr_kd.data.kaldi_dir import read_kaldi_dir, speaker_table
from asr_kd.data.kaldi_pipes import PipeReader
from asr_kd.data.manifest import Utterance
from asr_kd.errors import CorpusError, LexiconError
from asr_kd.lang.phones import SILENCE
from asr_kd.progress import say
from data_prep.common import CorpusOptions, PreparedCorpus, write_corpus
from data_prep.lexicons import read_pronunciations, without_stress
from data_prep.pronunciations import Pronunciation

_LEXICON_PLACES = ("local/dict", "dict", "local/dict_nosp", "lang", "lang_nosp")
_DICT_FILES = ("lexicon.txt", "lexiconp.txt", "lexiconp_silprob.txt")
_LANG_FILE = "phones/align_lexicon.txt"
_OPTIONAL_SILENCE, _BOUNDARIES = "optional_silence.txt", "word_boundary.txt"
_TABLES = ("wav.scp", "text", "segments")
_POSITION = re.compile(r"_[BIES]$")


class Options(CorpusOptions):
    """Options of a Kaldi corpus; folders are below the corpus folder unless they are absolute.

    Attributes:
        train: Data directory: ``wav.scp``, ``text``, perhaps ``utt2spk`` (or ``spk2utt``) and ``segments``.
        dev: Another one, for tuning.
        test: Another one, scored once.
        transfer: One more, perhaps without ``text``, for the student's soft targets alone.
        lexicon: A lexicon file, or a dict or lang directory; searched for when nothing is said.
        strip_stress: Take the digits off the ends of phones.
        allow_pipes: Run the commands of ``wav.scp`` (``program argument ... |``, without a shell) and keep
            their audio. Look through them first: they are somebody's programs.
        root: What relative paths and commands of ``wav.scp`` start from. By default paths start from the data
            directory or one of the two above it, commands from the folder that holds the corpus folder
            (Kaldi's ``s5`` where the corpus folder is ``s5/data``).
        speakers_disjoint: Refuse a speaker in two splits; those of train may be in transfer too.
    """

    train: str = "train"
    dev: str = "dev"
    test: str = "test"
    transfer: str | None = None
    lexicon: str | None = None
    strip_stress: bool = False
    allow_pipes: bool = False
    root: str | None = None
    speakers_disjoint: bool = True

    def files_read(self, corpus: Path) -> list[Path]:
        """Return the tables of the data directories, and the lexicon with what is read beside it."""
        names = (self.train, self.dev, self.test, *((self.transfer,) if self.transfer else ()))
        tables = [corpus / name / table for name in names for table in _TABLES]
        tables += [speaker_table(corpus / name) for name in names]
        try:
            lexicon = find_lexicon(corpus, self.lexicon)
        except LexiconError:
            return tables
        return [*tables, lexicon, *(lexicon.with_name(name) for name in (_OPTIONAL_SILENCE, _BOUNDARIES))]


def prepare(corpus: Path | None, out: Path, options: Options) -> PreparedCorpus:
    """Prepare Kaldi data directories.

    Raises:
        CorpusError: Without a corpus folder, and for a split that has no data directory.
        ManifestError, AudioError: For a malformed line (with its number) or audio that cannot be read.
        LexiconError: When there is no lexicon.

    Source: Kaldi, "Data preparation".
    """
    if corpus is None or not corpus.is_dir():
        raise CorpusError(
            "no Kaldi corpus to read" if corpus is None else "no such corpus folder",
            where="kaldi" if corpus is None else corpus,
            hint="give the folder that holds the data directories (Kaldi's data/) with --corpus DIR",
        )
    names = {"train": options.train, "dev": options.dev, "test": options.test, "transfer": options.transfer}
    splits = {
        split: _read_split(corpus, split, name, out, options)
        for split, name in names.items()
        if name is not None
    }
    path = find_lexicon(corpus, options.lexicon)
    lexicon = read_kaldi_lexicon(path, strip_stress=options.strip_stress)
    return write_corpus(
        out,
        name="kaldi",
        splits=splits,
        lexicon=lexicon,
        source="Kaldi data directories",
        licence="the user's own",
        options=options,
        speakers_disjoint=options.speakers_disjoint,
    )


def find_lexicon(corpus: Path, given: str | None) -> Path:
    """Return the lexicon's file: as given, or the first of the usual places.

    Raises:
        LexiconError: When there is none, naming where it was looked for.
    """
    places = [corpus / place for place in (_LEXICON_PLACES if given is None else (given,))]
    for place in places:
        if place.is_file():
            return place
        for name in (*_DICT_FILES, _LANG_FILE):
            if (place / name).is_file():
                return place / name
    raise LexiconError(
        "no lexicon",
        where=" or ".join(map(str, places)),
        expected=f"a dict directory with {' or '.join(_DICT_FILES)}, or a lang directory with {_LANG_FILE}",
        hint="name a file or directory with --set corpus.options.lexicon=PATH",
    )


def read_kaldi_lexicon(path: Path, *, strip_stress: bool = False) -> list[Pronunciation]:
    """Read a dict directory's lexicon or a lang directory's ``align_lexicon.txt``.

    The optional silence that the directory names becomes ``SIL``; the marks of a phone's position in the word
    (``_B _I _E _S``) are taken off where the lang directory has ``word_boundary.txt``.

    Raises:
        LexiconError: As :func:`data_prep.lexicons.read_pronunciations`.

    Source: Kaldi ``utils/prepare_lang.sh``.
    """
    rows = read_pronunciations(path)
    if path.name == Path(_LANG_FILE).name:
        # Each line has the word twice; that of epsilon is the optional silence.
        rows = [(word, phones[1:]) for word, phones in rows if word != "<eps>"]
        rows = [row for row in rows if row[1]]
        if (path.parent / _BOUNDARIES).is_file():
            rows = [(word, tuple(_POSITION.sub("", phone) for phone in phones)) for word, phones in rows]
    silence = _optional_silence(path.parent)
    rename = {silence: SILENCE} if silence else {}
    named = [(word, tuple(rename.get(phone, phone) for phone in phones)) for word, phones in rows]
    if strip_stress:
        named = [(word, tuple(map(without_stress, phones))) for word, phones in named]
    return list(dict.fromkeys(named))


def _optional_silence(folder: Path) -> str | None:
    path = folder / _OPTIONAL_SILENCE
    return path.read_text(encoding="utf-8").strip() or None if path.is_file() else None


def _read_split(corpus: Path, split: str, name: str, out: Path, options: Options) -> list[Utterance]:
    folder = corpus / name
    if not folder.is_dir():
        found = sorted(path.parent.name for path in corpus.glob("*/wav.scp"))
        raise CorpusError(
            f"no data directory for {split}",
            where=folder,
            expected="a folder with wav.scp and text",
            got=f"folders {', '.join(found)}" if found else "no such folder",
            hint=f"name it with --set corpus.options.{split}=FOLDER",
        )
    if split != "transfer" and not (folder / "text").is_file():
        raise CorpusError(f"the {split} split has no transcripts", where=folder, expected="a file text in it")
    root = None if options.root is None else corpus / options.root
    run_pipe = None
    if options.allow_pipes:
        audio = out.absolute() / "audio" / split
        audio.mkdir(parents=True, exist_ok=True)
        say(f"{folder / 'wav.scp'}: its commands are run, as allow_pipes says")
        run_pipe = PipeReader(audio, root or corpus.absolute().parent)
    rows = read_kaldi_dir(folder, root=root, allow_untranscribed=split == "transfer", run_pipe=run_pipe)
    if options.allow_pipes:
        rows = [_relative(row, out) for row in rows]
    return rows


def _relative(row: Utterance, out: Path) -> Utterance:
    """Name audio below ``out`` relative to it, since that folder is renamed when it is whole."""
    path, base = Path(row.audio), out.absolute()
    return replace(row, audio=path.relative_to(base).as_posix()) if path.is_relative_to(base) else row
