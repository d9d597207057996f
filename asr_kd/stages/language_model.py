"""The language model of a recipe: estimated from the training text, or the user's ARPA file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from asr_kd.errors import LanguageModelError
from asr_kd.lang.arpa import read_arpa
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.ngram import NgramModel, Smoothing, estimate_ngram
from asr_kd.progress import say
from asr_kd.stages.base import Settings


class LanguageModelConfig(Settings):
    """Which language model the graph is built from.

    Attributes:
        order: Of the n-gram that is estimated.
        smoothing: Of the estimation.
        vocabulary: Words that can be recognised: those of the training ``text``, or all of the ``lexicon``
            (which knows the test's words when the corpus's lexicon was made from all of its texts).
        arpa: A user's ARPA file instead.
    """

    order: int = Field(2, ge=1)
    smoothing: Smoothing = "witten_bell"
    vocabulary: Literal["text", "lexicon"] = "text"
    arpa: Path | None = None


def language_model(config: LanguageModelConfig, text: Path, lexicon: Lexicon) -> NgramModel:
    """Estimate or read the language model.

    Args:
        config: Settings.
        text: Sentences, one a line.
        lexicon: Whose words may be recognised.

    Raises:
        LanguageModelError: For a file that is missing or malformed, or a word that the lexicon lacks.
    """
    if config.arpa is not None:
        reading = read_arpa(config.arpa, lexicon.words)
        if reading.num_dropped_words:
            say(
                f"{config.arpa}: {reading.num_dropped_words:,} words are not in the lexicon and were left out"
            )
        return reading.model
    sentences = read_sentences(text)
    words = {word for sentence in sentences for word in sentence}
    unknown = lexicon.missing(words)
    if unknown:
        raise LanguageModelError(
            f"{len(unknown)} words of the text are not in the lexicon: {', '.join(unknown[:5])}", where=text
        )
    vocabulary = lexicon.words if config.vocabulary == "lexicon" else sorted(words)
    return estimate_ngram(sentences, vocabulary, config.order, config.smoothing)


def read_sentences(path: Path) -> list[list[str]]:
    """Read sentences, one a line; blank lines are passed over.

    Raises:
        LanguageModelError: When there are none.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    sentences = [line.split() for line in lines if line.strip()]
    if not sentences:
        raise LanguageModelError("no sentences to estimate a language model from", where=path)
    return sentences
