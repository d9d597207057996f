"""Stage 1: a corpus on disk (or downloaded) becomes manifests, a lexicon and LM text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from asr_kd.atomic import atomic_dir, write_json
from asr_kd.data.manifest import spread_evenly, write_manifest
from asr_kd.errors import ConfigError
from asr_kd.fingerprint import file_sha256, fingerprint
from asr_kd.stages.base import Settings, Stage, WorkDir
from asr_kd.stages.unknown_words import LexiconConfig, settle_unknown_words
from data_prep.common import CorpusOptions, split_counts
from data_prep.registry import load_corpus_module

Split = Literal["train", "dev", "test", "transfer"]


class CorpusConfig(Settings):
    """Which corpus, and how it is split.

    Attributes:
        module: Short name (quickstart, librispeech, kaldi ...) or the user's ``package.module``.
        options: Of the corpus module.
        limit: Most utterances of a split, spread evenly over it; for trials.
    """

    module: str
    options: dict[str, Any] = {}
    limit: dict[Split, int] = {}

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


class PrepareStage(Stage):
    """Writes ``corpus/``.

    Args:
        config: Which corpus.
        corpus: Its folder; None lets the module make or download it.
        lexicon: What is done with words of train without a pronunciation.
    """

    name = "prepare"
    needs = ()

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
        if self.lexicon.unknown_words != "refuse":
            # Work folders from before there was a choice stay as they are.
            settings["lexicon"] = self.lexicon.model_dump(mode="json")
        return settings

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
            splits = dict(prepared.splits)
            for split, limit in self.config.limit.items():
                splits[split] = spread_evenly(prepared.splits[split], limit)
                write_manifest(folder / f"{split}.jsonl", splits[split])
            splits["train"], unknown = settle_unknown_words(
                folder, splits["train"], self.lexicon, prepared.name
            )
            summary = {
                **prepared.summary,
                "splits": {name: split_counts(rows) for name, rows in splits.items()},
            }
            if unknown is not None:
                summary["unknown_words"] = unknown
            write_json(folder / "corpus.json", summary)
        facts = {"corpus": prepared.name}
        for split, counts in summary["splits"].items():
            size = f"{counts['utterances']:,} utterances, {counts['hours']:.2f} h"
            facts[split] = f"{size}, {counts['speakers']} speakers"
        return facts if unknown is None else {**facts, "unknown words": unknown}
