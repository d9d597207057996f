"""Stage 1: a corpus on disk (or downloaded) becomes manifests, a lexicon and LM text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from asr_kd.atomic import atomic_dir, write_json
from asr_kd.data.manifest import Utterance, is_drawn, spread_evenly, write_manifest
from asr_kd.errors import ConfigError
from asr_kd.fingerprint import file_sha256, fingerprint
from asr_kd.stages.base import CORPUS_HINT, Settings, Stage, WorkDir
from asr_kd.stages.unknown_words import LexiconConfig, settle_unknown_words
from asr_kd.stages.unscored import leave_out_unscored
from data_prep.common import CorpusOptions, split_counts
from data_prep.registry import load_corpus_module

Split = Literal["train", "dev", "test", "transfer"]

_TRANSFER_SEED = 1  # not the one that ensemble.data_share draws with, or one would hold what the other leaves


class CorpusConfig(Settings):
    """Which corpus, and how it is split.

    Attributes:
        module: Short name (quickstart, librispeech, kaldi ...) or the user's ``package.module``.
        options: Of the corpus module.
        limit: Most utterances of a split, spread evenly over it; for trials.
        transfer_share: Share of the training utterances, drawn by a hash, that lose their transcripts and go
            to the split ``transfer``: what a student gains from audio that nobody transcribed. The language
            model's text stays as it is.
    """

    module: str
    options: dict[str, Any] = {}
    limit: dict[Split, Annotated[int, Field(ge=1)]] = {}
    transfer_share: float = Field(0.0, ge=0, lt=1)

    @property
    def has_transfer(self) -> bool:
        """Whether these settings give audio without text to the student."""
        return bool(self.transfer_share or self.options.get("transfer"))

    def parsed_options(self) -> CorpusOptions:
        """Return the options as the module takes them.

        Raises:
            ConfigError: For an unknown module or option.
        """
        return parse_corpus_options(load_corpus_module(self.module).options_type, self.options, self.module)


def parse_corpus_options(
    options_type: type[CorpusOptions], options: dict[str, Any], module: str
) -> CorpusOptions:
    """Return a corpus module's options as it takes them.

    Raises:
        ConfigError: For an unknown option or a wrong value.
    """
    try:
        return options_type.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
            where=f"corpus.options of {module}",
            expected=f"options {', '.join(options_type.model_fields)}",
        ) from None


def without_transcripts(
    splits: Mapping[str, Sequence[Utterance]], share: float
) -> dict[str, list[Utterance]]:
    """Return ``train`` without a share of its utterances, and ``transfer`` with them, their text taken off.

    Raises:
        ConfigError: When no utterance of train is left.
    """
    train = splits["train"]
    drawn = {row.utt_id for row in train if is_drawn(row.utt_id, share, _TRANSFER_SEED)}
    if len(drawn) == len(train):
        raise ConfigError(
            "no training utterance keeps its transcript", where="corpus.transfer_share", got=share
        )
    moved = [replace(row, text=None) for row in train if row.utt_id in drawn]
    return {
        "train": [row for row in train if row.utt_id not in drawn],
        "transfer": [*splits.get("transfer", ()), *moved],
    }


class PrepareStage(Stage):
    """Writes ``corpus/``.

    Args:
        config: Which corpus.
        corpus: Its folder; None lets the module make or download it.
        lexicon: What is done with words of train without a pronunciation.
    """

    name = "prepare"
    needs = ()
    stale_hint = CORPUS_HINT

    def __init__(
        self, config: CorpusConfig, corpus: Path | None, lexicon: LexiconConfig | None = None
    ) -> None:
        self.config = config
        self.corpus = corpus
        self.lexicon = lexicon or LexiconConfig()

    def settings(self) -> dict[str, Any]:
        """Return the corpus module and its options; where the corpus lies does not matter."""
        options = self.config.parsed_options().model_dump(mode="json")
        limit = dict(self.config.limit)
        settings: dict[str, Any] = {
            "corpus": {"module": self.config.module, "options": options, "limit": limit}
        }
        # Work folders from before there were these choices stay as they are.
        if self.config.transfer_share:
            settings["corpus"]["transfer_share"] = self.config.transfer_share
        if self.lexicon.unknown_words != "refuse":
            settings["lexicon"] = self.lexicon.model_dump(mode="json")
        return settings

    def sources(self) -> dict[str, Any]:
        """Return what people edit in the corpus, by hashes, or where it lies."""
        return self.config.parsed_options().sources(self.corpus)

    def content(self, work: WorkDir) -> str:
        """Return a fingerprint of all manifests and texts."""
        files = sorted(path for path in work.corpus.iterdir() if path.suffix in {".jsonl", ".txt"})
        return fingerprint({path.name: file_sha256(path) for path in files})

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return what every corpus module writes."""
        manifests = [work.manifest(split) for split in ("train", "dev", "test")]
        return [*manifests, work.lexicon, work.lm_text]

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Prepare the corpus."""
        module = load_corpus_module(self.config.module)
        with atomic_dir(work.corpus) as folder:
            prepared = module.prepare(self.corpus, folder, self.config.parsed_options())
            for missing in self.config.limit.keys() - prepared.splits.keys():
                raise ConfigError("the corpus has no such split", where=f"corpus.limit.{missing}")
            changed, unscored = leave_out_unscored(folder, prepared.splits, prepared.name)
            changed |= self._chosen(dict(prepared.splits) | changed)
            for split, rows in changed.items():
                write_manifest(folder / f"{split}.jsonl", rows)
            splits = dict(prepared.splits) | changed
            splits["train"], unknown = settle_unknown_words(
                folder, splits["train"], self.lexicon, prepared.name
            )
            summary = {
                **prepared.summary,
                "splits": {name: split_counts(rows) for name, rows in splits.items()},
            }
            if unknown is not None:
                summary["unknown_words"] = unknown
            if unscored:
                summary["unscored"] = unscored
            write_json(folder / "corpus.json", summary)
        facts = {"corpus": prepared.name}
        for split, counts in summary["splits"].items():
            size = f"{counts['utterances']:,} utterances, {counts['hours']:.2f} h"
            facts[split] = f"{size}, {counts['speakers']} speakers"
        facts |= {f"{split} without a scored word": count for split, count in unscored.items()}
        return facts if unknown is None else {**facts, "unknown words": unknown}

    def _chosen(self, splits: Mapping[str, Sequence[Utterance]]) -> dict[str, list[Utterance]]:
        """Return the splits of which the settings take a part, or move one."""
        changed: dict[str, list[Utterance]] = {
            split: spread_evenly(splits[split], limit) for split, limit in self.config.limit.items()
        }
        if self.config.transfer_share:
            changed |= without_transcripts(dict(splits) | changed, self.config.transfer_share)
        return changed
