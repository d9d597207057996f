"""Stage 10: one self-contained page with the tables and plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asr_kd.report.results import read_results
from asr_kd.report.sweeps import SWEEP_FILE, read_points, sweeps_of
from asr_kd.report.tables import shown_split
from asr_kd.stages.base import Stage, WorkDir
from asr_kd.stages.score import RESULTS_FILE, decoded_systems, speakers, word_score

PAGE_FILE = "report.html"


class ReportStage(Stage):
    """Writes ``report.html``."""

    name = "report"
    needs = ("score",)

    def settings(self) -> dict[str, Any]:
        """Return nothing: the page shows what the results hold."""
        return {}

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return the page."""
        return [work.root / PAGE_FILE]

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Write the page, with the first seed of each system in the listings and the speakers' plot.

        Sweeps of the recipe that were run before are shown too.
        """
        from asr_kd.report.page import report_page, write_page  # matplotlib, which no other stage waits for

        results = read_results(work.root / RESULTS_FILE)
        split = shown_split(results)
        words = {group: word_score(work, names[0], split) for group, names in decoded_systems(work).items()}
        sweeps = sweeps_of(read_points(work.sweeps / SWEEP_FILE))
        page = report_page(results, words, speakers(work, split), split, sweeps)
        write_page(work.root / PAGE_FILE, page)
        return {"page": str(work.root / PAGE_FILE)}
