"""A stage that ends a recipe without any work, for sweeps whose settings alone matter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asr_kd.stages.base import Stage, WorkDir


class NothingDecoded(Stage):
    """Stands for the stages up to ``score``, and says that no system was decoded."""

    name = "score"
    needs = ()

    def settings(self) -> dict[str, Any]:
        """Return none."""
        return {}

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return the list of systems."""
        return [work.decode / "systems.json"]

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Write the list."""
        work.decode.mkdir(parents=True)
        self.outputs(work)[0].write_text("{}")
        return {}
