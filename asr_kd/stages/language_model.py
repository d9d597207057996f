"""The language model of a recipe: estimated from the training text, or the user's ARPA file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from asr_kd.errors import LanguageModelError
from asr_kd.fingerprint import file_sha256, unless
from asr_kd.lang.arpa import read_arpa
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.ngram import NgramModel, Smoothing, estimate_ngram
from asr_kd.lang.prune import prune_ngram
from asr_kd.progress import say
from asr_kd.stages.base import Settings


class LanguageModelConfig(Settings):
    """Which language model the graph is built from.

    Attributes:
        order: Of the n-gram that is estimated.
        smoothing: Of the estimation.
        vocabulary: Words that can be recognised: those of the training ``text``, or all of the ``lexicon``
            (which knows the test's words when the corpus's lexicon was made from all of its texts).
        arpa: A user's ARPA file instead, of any order, plain or ``.gz``; it may lie beside the recipe.
        prune: N-grams go whose loss raises the perplexity by a smaller share (SRILM's ``-prune``).
    """

    order: int = Field(2, ge=1)
    smoothing: Smoothing = "witten_bell"
    vocabulary: Literal["text", "lexicon"] = "text"
    arpa: Path | None = None
    prune: Annotated[float, Field(gt=0)] | None = unless(None)

    def found(self, folder: Path | None) -> LanguageModelConfig:
        """Return the settings with the ARPA file's path as it is, here or in the recipe's folder.

        Raises:
            LanguageModelError: When it is in neither.
        """
        if self.arpa is None or self.arpa.is_file():
            return self
        beside = (folder or Path()) / self.arpa
        if not beside.is_file():
            raise LanguageModelError(
                "no such language model", where=self.arpa, hint="see language_model.arpa"
            )
        return self.model_copy(update={"arpa": beside})

    def identity(self) -> dict[str, Any]:
        """Return the settings as JSON, with name and content of the ARPA file, and not where it lies."""
        settings = self.model_dump(mode="json")
        if self.arpa is not None:
            settings |= {"arpa": self.arpa.name, "arpa_sha256": file_sha256(self.arpa)}
        return settings


def language_model(config: LanguageModelConfig, text: Path, lexicon: Lexicon) -> NgramModel:
    """Estimate or read the language model, and prune it where the settings say so.

    Args:
        config: Settings.
        text: Sentences, one a line.
        lexicon: Whose words may be recognised.

    Raises:
        LanguageModelError: For a file that is missing or malformed, or a word that the lexicon lacks.
    """
    model = _estimated(config, text, lexicon) if config.arpa is None else _read(config.arpa, lexicon)
    return model if config.prune is None else _pruned(model, config.prune)


def _read(path: Path, lexicon: Lexicon) -> NgramModel:
    reading = read_arpa(path, lexicon.words)
    say(f"{path}: {_sizes(reading.model)}")
    if reading.num_dropped_words:
        say(
            f"{path}: {reading.num_dropped_words:,} words have no pronunciation and were left out, "
            f"with {reading.num_dropped_ngrams:,} n-grams"
        )
    if reading.num_words_without_ngram:
        say(f"{path}: {reading.num_words_without_ngram:,} words of the lexicon are not in it")
    return reading.model


def _estimated(config: LanguageModelConfig, text: Path, lexicon: Lexicon) -> NgramModel:
    sentences = read_sentences(text)
    words = {word for sentence in sentences for word in sentence}
    unknown = lexicon.missing(words)
    if unknown:
        raise LanguageModelError(
            f"{len(unknown)} words of the text are not in the lexicon: {', '.join(unknown[:5])}", where=text
        )
    vocabulary = lexicon.words if config.vocabulary == "lexicon" else sorted(words)
    return estimate_ngram(sentences, vocabulary, config.order, config.smoothing)


def _pruned(model: NgramModel, threshold: float) -> NgramModel:
    pruned = prune_ngram(model, threshold)
    say(f"language model pruned at {threshold:g}: {_sizes(model)} became {_sizes(pruned)}")
    return pruned


def _sizes(model: NgramModel) -> str:
    """Return such as ``5 1-grams, 12 2-grams``."""
    sizes = enumerate(model.log_probs, start=1)
    return ", ".join(f"{len(log_probs):,} {length}-grams" for length, log_probs in sizes)


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
