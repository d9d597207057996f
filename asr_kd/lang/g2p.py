"""Pronunciations of words that the lexicon lacks, from a grapheme-to-phoneme model trained on the lexicon."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from asr_kd.errors import LexiconError
from asr_kd.lang.lexicon import Lexicon, Pronunciation

# Phonetisaurus writes "_" for nothing, "|" and "}" between units; a no-break space splits its lines.
_RESERVED = re.compile("[_|}\xa0]")
_COLOUR = re.compile("\x1b\\[[0-9]+m")
_NUM_SHOWN = 8
_LEXICON_FILE, _WORDS_FILE = "lexicon.txt", "words.txt"


def pronounce(words: Iterable[str], lexicon: Lexicon) -> dict[str, Pronunciation]:
    """Return the likeliest pronunciation of each word, in phones of the lexicon.

    Args:
        words: Words that are spelt with letters of the lexicon's words.
        lexicon: What the model is trained on, each time anew: some seconds for a few thousand words.

    Raises:
        LexiconError: Phonetisaurus is not installed or fails, a word has letters that no word of the lexicon
            has, or gets no pronunciation.

    Source: Novak, Minematsu & Hirose 2016, "Phonetisaurus: Exploring grapheme-to-phoneme conversion with
        joint n-gram models in the WFST framework".
    """
    wanted = sorted(set(words))
    if not wanted:
        return {}
    entries = [
        (word, phones)
        for word in lexicon.words
        for phones in lexicon.pronunciations[word]
        if not _RESERVED.search(" ".join((word, *phones)))
    ]
    letters = {letter for word, _ in entries for letter in word}
    _refuse(
        [word for word in wanted if not letters.issuperset(word)], "letters that no word of the lexicon has"
    )
    environment = _environment()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [f"{word}\t{' '.join(phones)}\n" for word, phones in entries]
        (folder / _LEXICON_FILE).write_text("".join(lines), encoding="utf-8")
        (folder / _WORDS_FILE).write_text("".join(f"{word}\n" for word in wanted), encoding="utf-8")
        _run(["phonetisaurus-train", "--lexicon", _LEXICON_FILE, "--seq2_del"], folder, environment)
        model = ["phonetisaurus-apply", "--model", "train/model.fst"]
        output = _run([*model, "--word_list", _WORDS_FILE], folder, environment)
    found = {
        word: tuple(phones) for word, *phones in (line.split() for line in output.splitlines()) if phones
    }
    _refuse([word for word in wanted if word not in found], "no pronunciation that the model could tell")
    return {word: found[word] for word in wanted}


def _environment() -> dict[str, str]:
    """Return the environment in which the programs of the wheel are found."""
    try:
        from phonetisaurus import guess_environment
    except ModuleNotFoundError:
        raise LexiconError(
            "pronunciations of unknown words need Phonetisaurus, which is not installed",
            hint="pip install 'asr-kd[g2p]' (Linux on x86-64)",
        ) from None
    environment: dict[str, str] = guess_environment()
    return environment


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # fixed programs on files of a fixed name
            command, cwd=folder, env=environment, capture_output=True, check=True, encoding="utf-8"
        )
    except (OSError, subprocess.CalledProcessError) as error:
        lines = _COLOUR.sub("", getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise LexiconError(
            f"{command[0]} failed: {lines[-1] if lines else error}",
            hint="is the lexicon large enough to learn from, and the machine Linux on x86-64?",
        ) from None
    return done.stdout


def _refuse(words: list[str], why: str) -> None:
    if words:
        shown = ", ".join(f'"{word}"' for word in words[:_NUM_SHOWN])
        raise LexiconError(
            f"{len(words):,} words have {why}: {shown}",
            hint="add their pronunciations to the lexicon, or skip their utterances (lexicon.unknown_words)",
        )
