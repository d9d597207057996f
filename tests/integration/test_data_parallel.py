"""Two ranks under ``torchrun`` train as one does, and go on when one of them was killed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.support.tones import tones_recipe
from tests.support.torchrun import torchrun
from tests.support.training_run import run


@pytest.mark.parametrize("name", ["hard", "soft"])
def test_two_ranks_give_the_losses_of_one_with_the_doubled_batch(tmp_path: Path, name: str) -> None:
    alone, _, steps = run(tmp_path / "alone", name, dropout=0.0)
    done = torchrun(2, "tests.support.training_run", tmp_path / "two", name, "dropout=0.0")
    assert done.returncode == 0, done.stderr
    together = json.loads((tmp_path / "two" / "steps.json").read_text())
    assert len(together) == len(steps) == 51
    for one, two in zip(steps, together, strict=True):
        assert two == pytest.approx(one, rel=2e-4, abs=1e-6)
    final = torch.load(tmp_path / "two" / "final.pt", weights_only=True)
    for (key, value), other in zip(alone.state_dict().items(), final.values(), strict=True):
        assert torch.allclose(value, other, rtol=1e-3, atol=1e-4), key


@pytest.mark.parametrize("kill_rank", [0, 1])
def test_goes_on_with_one_rank_after_one_of_two_was_killed(tmp_path: Path, kill_rank: int) -> None:
    options = ("dropout=0.0", "checkpoint_seconds=0")
    death = ("die_at=30", f"kill_rank={kill_rank}")
    died = torchrun(2, "tests.support.training_run", tmp_path / "broken", "soft", *options, *death)
    assert died.returncode != 0
    assert not (tmp_path / "broken" / "final.pt").exists()
    resumed, _, steps = run(tmp_path / "broken", "soft", dropout=0.0)
    assert len(steps) == 51 - 20  # The ranks agree on a checkpoint every 20 steps.
    whole, _, whole_steps = run(tmp_path / "whole", "soft", dropout=0.0)
    assert steps[-1] == pytest.approx(whole_steps[-1], rel=1e-3)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4)


def test_a_recipe_runs_under_two_ranks_and_only_the_first_writes(tmp_path: Path) -> None:
    tones_recipe(tmp_path)
    work = tmp_path / "work"
    settings = ("corpus.options.utterances=4", "train.epochs=1", "student.train.epochs=1", "baseline.count=1")
    overrides = [part for setting in settings for part in ("--set", setting)]
    done = torchrun(2, "asr_kd", "run", tmp_path, "--work", work, "--to-stage", "student", *overrides)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("student: finished") == 1
    assert (work / "models" / "student-01" / "model.safetensors").is_file()
    assert not list(work.rglob("*.pt"))
    assert not list(work.rglob(".*.tmp"))
    again = torchrun(1, "asr_kd", "run", tmp_path, "--work", work, "--to-stage", "student", *overrides)
    assert again.stderr.count("done before, skipped") == 7
