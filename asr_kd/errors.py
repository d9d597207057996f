"""Errors that a user can act on: what, where, expected, got and the next step, in one line."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class AsrKdError(ValueError):
    """Base of everything that a user's data, recipe or command can cause.

    Args:
        what: What is wrong, in the field's words.
        where: A file, ``path:line``, utt_id, stage or recipe key.
        expected: What was expected there.
        got: What was found.
        hint: What to do next.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | Path | None = None,
        expected: object = None,
        got: object = None,
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.expected = expected
        self.got = got
        self.hint = hint
        super().__init__(self._line())

    def _line(self) -> str:
        text = self.what if self.where is None else f"{self.where}: {self.what}"
        if self.expected is not None:
            text += f"; expected {self.expected}"
        if self.got is not None:
            text += f"{',' if self.expected is not None else ';'} got {self.got}"
        if self.hint is not None:
            text += f"; {self.hint}"
        return " ".join(text.split())


class ManifestError(AsrKdError):
    """A manifest row or data directory is malformed, doubled or incomplete."""


class AudioError(AsrKdError):
    """Audio is missing, truncated, empty, not finite or in an unknown format."""


class CorpusError(AsrKdError):
    """A corpus folder or archive is not the corpus that it should be."""


class LexiconError(AsrKdError):
    """A lexicon line, word or phone is malformed or unknown."""


class LanguageModelError(AsrKdError):
    """A language model's text or ARPA file cannot be used."""


class GraphError(AsrKdError):
    """A decoding graph is empty or cannot reach a final state."""


class FrontendError(AsrKdError):
    """A frontend cannot be loaded or breaks its contract."""


class AlignmentError(AsrKdError):
    """Utterances cannot be aligned to their transcripts."""


class ModelError(AsrKdError):
    """A model directory is incomplete or does not fit what it is used with."""


class ShardError(AsrKdError):
    """A posterior shard set is damaged or was made for something else."""


class ConfigError(AsrKdError):
    """A recipe or an override on the command line cannot be used."""


class StageError(AsrKdError):
    """A stage is unknown, stale or lacks its inputs."""


class ScoringError(AsrKdError):
    """Hypotheses and references cannot be compared."""


def how_to_go_on(force: bool) -> str:
    """Return what to type after a command that was broken off.

    Args:
        force: Whether it was to redo stages that were done.
    """
    if force:  # the same command would redo those that it has done
        return "to go on, run the same command with --from-stage and the stage that it was in"
    return "run the same command again to go on"


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return a hint at the known name that is nearest to a mistyped one, if any is near."""
    nearest = get_close_matches(name, list(known), n=1)
    return f"did you mean {nearest[0]}?" if nearest else None
