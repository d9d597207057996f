"""An ensemble stage of images that was broken off went on with copies that another ``max_shift`` moved."""

from __future__ import annotations

from pathlib import Path

from asr_kd.config import load_any_recipe
from asr_kd.distill.shard_header import HEADER_FILE
from asr_kd.experiment import open_pipeline
from asr_kd.fingerprint import file_sha256
from asr_kd.pipeline import Pipeline
from asr_kd.report.results import Provenance
from tests.support.idx_corpus import write_corpus

RECIPE = """\
kind: images
name: bars
corpus: {module: mnist, options: {num_dev: 100}}
teachers:
  count: 1
  model: {options: {hidden_layers: 1, units: 8}}
  train: {epochs: 1, batch_size: 50, num_processes: 1}
ensemble: {views: 1, max_shift: 1}
students: [{name: moved, views: 1}]
"""


def _pipeline(folder: Path, *overrides: str) -> Pipeline:
    (folder / "recipe.yaml").write_text(RECIPE)
    recipe = load_any_recipe(folder, overrides=overrides)
    provenance = Provenance(recipe="bars", profile="default", command="asr-kd run bars", machine="a test")
    return open_pipeline(recipe, folder, folder / "work", write_corpus(folder / "corpus"), provenance)


def _shards(run: Pipeline) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in run.work.shards.glob("*.tar")}


def _break_off(run: Pipeline) -> None:
    """Leave the shards as a run does that was killed before it had written the last of them."""
    (run.work.markers / "ensemble.json").unlink()
    (run.work.shards / HEADER_FILE).unlink()
    for last in run.work.shards.glob("dev-*"):
        last.unlink()


def test_are_made_anew(tmp_path: Path) -> None:
    run = _pipeline(tmp_path, "ensemble.max_shift=3")
    run.run(to_stage="ensemble")
    expected = _shards(run)
    before = _pipeline(tmp_path)
    before.run("ensemble", "ensemble", force=True)
    assert _shards(before) != expected
    _break_off(before)
    run.run("ensemble", "ensemble")
    assert _shards(run) == expected
