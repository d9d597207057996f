"""Stage 1: a corpus on disk (or downloaded) becomes manifests, a lexicon and LM text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from asr_kd.atomic import atomic_dir
from asr_kd.errors import ConfigError
from asr_kd.fingerprint import file_sha256, fingerprint
from asr_kd.stages.base import Settings, Stage, WorkDir
from data_prep.common import CorpusOptions
from data_prep.registry import load_corpus_module


class CorpusConfig(Settings):
    """Which corpus, and how it is split.

    Attributes:
        module: Short name (quickstart, yesno, fsdd, speechocean762) or the user's ``package.module``.
        options: Of the corpus module.
    """

    module: str
    options: dict[str, Any] = {}

    def parsed_options(self) -> CorpusOptions:
        """Return the options as the module takes them.

        Raises:
            ConfigError: For an unknown module or option.
        """
        module = load_corpus_module(self.module)
        try:
            return module.options_type.model_validate(self.options)
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(
                f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
                where=f"corpus.options of {self.module}",
                expected=f"options {', '.join(module.options_type.model_fields)}",
            ) from None


class PrepareStage(Stage):
    """Writes ``corpus/``.

    Args:
        config: Which corpus.
        corpus: Its folder; None lets the module make or download it.
    """

    name = "prepare"
    needs = ()

    def __init__(self, config: CorpusConfig, corpus: Path | None) -> None:
        self.config = config
        self.corpus = corpus

    def settings(self) -> dict[str, Any]:
        """Return the corpus module and its options; where the corpus lies does not matter."""
        options = self.config.parsed_options().model_dump(mode="json")
        return {"corpus": {"module": self.config.module, "options": options}}

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
        facts = {"corpus": prepared.name}
        for split, counts in prepared.summary["splits"].items():
            size = f"{counts['utterances']:,} utterances, {counts['hours']:.2f} h"
            facts[split] = f"{size}, {counts['speakers']} speakers"
        return facts
