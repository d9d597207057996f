"""Profile senones asked for labels in bfloat16, which processors without it make a hundred times slower."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from asr_kd.am.device import usable_precision
from asr_kd.cli.app import app
from asr_kd.config import find_recipe, load_recipe
from asr_kd.distill.shard_set import open_shard_set
from tests.support.tones import tones_recipe


def test_no_recipe_makes_a_processor_emulate_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr_kd.am.device.has_native_bf16", lambda device: False)
    recipe = load_recipe(find_recipe("speechocean762"), "senones")
    assert usable_precision(recipe.ensemble.precision, torch.device("cpu")) == "fp32"


def test_shards_name_the_precision_that_was_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tones_recipe(tmp_path / "recipe")
    small = ("corpus.options.utterances=4", "train.epochs=1", "train.precision=fp32")
    for wanted, native, stored, warned in (
        ("auto", True, "bf16", False),
        ("auto", False, "fp32", False),
        ("bf16", False, "bf16", True),
    ):
        monkeypatch.setattr("asr_kd.am.device.has_native_bf16", lambda device, native=native: native)
        settings = (*small, f"ensemble.precision={wanted}")
        overrides = [part for each in settings for part in ("--set", each)]
        command = ["run", str(recipe), "--work", str(tmp_path / "work"), "--to-stage", "ensemble"]
        again = ["--from-stage", "ensemble", "--force"] if (tmp_path / "work").exists() else []
        done = CliRunner().invoke(app, [*command, *again, *overrides])
        assert done.exit_code == 0, done.output
        assert open_shard_set(tmp_path / "work" / "shards").header.precision == stored
        assert ("ensemble.precision: this processor emulates bf16" in done.output) == warned
