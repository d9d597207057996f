"""What is done with words of the training text that have no pronunciation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from asr_kd.atomic import write_text
from asr_kd.data.manifest import Utterance, write_manifest
from asr_kd.errors import LexiconError
from asr_kd.lang.g2p import pronounce
from asr_kd.lang.lexicon import Lexicon, Pronunciation, read_lexicon, write_lexicon
from asr_kd.progress import say
from asr_kd.stages.base import LEXICON_FILE, LM_TEXT_FILE, Settings

G2P_FILE = "lexicon_g2p.txt"
_NUM_SHOWN = 5


class LexiconConfig(Settings):
    """How a recipe's lexicon is completed.

    Attributes:
        unknown_words: Of the training text: ``refuse`` stops, ``skip`` leaves out their utterances and
            sentences, ``g2p`` gives them pronunciations from a model trained on the lexicon (extra ``g2p``).
        max_skipped_share: Largest share of the training utterances that may be left out.
    """

    unknown_words: Literal["refuse", "skip", "g2p"] = "refuse"
    max_skipped_share: float = Field(0.1, ge=0, lt=1)


def settle_unknown_words(
    folder: Path, train: Sequence[Utterance], config: LexiconConfig, name: str
) -> tuple[Sequence[Utterance], str | None]:
    """Make sure that every word of train and of the language model's text has a pronunciation.

    Dev and test keep their unknown words: they are errors of the recogniser.

    Args:
        folder: Of a corpus that is complete but for this.
        train: Its training utterances.
        config: What to do.
        name: Of the corpus.

    Returns:
        The utterances that stay, and what was done; None when no word is unknown.

    Raises:
        LexiconError: When unknown words are refused, too many utterances have them, or no model can tell.
    """
    lexicon = read_lexicon(folder / LEXICON_FILE)
    sentences = (folder / LM_TEXT_FILE).read_text(encoding="utf-8").splitlines()
    words = {word for row in train for word in row.words}
    unknown = lexicon.missing(words.union(*(sentence.split() for sentence in sentences)))
    if not unknown:
        return train, None
    if config.unknown_words == "g2p":
        return train, _add_pronunciations(folder, lexicon, unknown)
    kept = [row for row in train if not lexicon.missing(row.words)]
    shown = ", ".join(unknown[:_NUM_SHOWN])
    skipped = f"{len(train) - len(kept):,} of {len(train):,} utterances"
    share = 1 - len(kept) / len(train)
    if config.unknown_words == "refuse" or share > config.max_skipped_share:
        is_refused = config.unknown_words == "refuse"
        raise LexiconError(
            f"{len(unknown):,} words of the train text are not in the lexicon ({shown})",
            where=name,
            expected=None
            if is_refused
            else f"at most {config.max_skipped_share:.1%} of train with such words",
            got=f"{skipped} with such words",
            hint="add their pronunciations, or set lexicon.unknown_words to "
            + ("skip or g2p" if is_refused else "g2p"),
        )
    write_manifest(folder / "train.jsonl", kept)
    known = (line for line in sentences if not lexicon.missing(line.split()))
    write_text(folder / LM_TEXT_FILE, "".join(f"{line}\n" for line in known))
    say(f"train: {skipped} left out: words without a pronunciation ({shown})")
    return kept, f"{skipped} left out"


def _add_pronunciations(folder: Path, lexicon: Lexicon, unknown: list[str]) -> str:
    guessed: dict[str, tuple[Pronunciation, ...]] = {
        word: (phones,) for word, phones in pronounce(unknown, lexicon).items()
    }
    write_lexicon(folder / G2P_FILE, Lexicon(guessed))
    write_lexicon(folder / LEXICON_FILE, Lexicon({**lexicon.pronunciations, **guessed}))
    first = ", ".join(f"{word} {' '.join(guessed[word][0])}" for word in unknown[:_NUM_SHOWN])
    say(f"{len(unknown):,} words of the train text got pronunciations, see {G2P_FILE}: {first}")
    return f"{len(unknown):,} words pronounced by a model"
