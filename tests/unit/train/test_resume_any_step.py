"""A run that is killed anywhere goes on to the very bits of one that was not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from asr_kd.train.checkpoint import LAST_FILE, discard_checkpoints
from asr_kd.train.config import TrainConfig
from asr_kd.train.window_masks import WindowMasks
from tests.support.training_run import Killed, run

STEPS_PER_EPOCH = 17  # 800 frames in batches of 48


def _assert_same(whole, resumed) -> None:
    whole_net, whole_result, _ = whole
    net, result, _ = resumed
    for (key, a), b in zip(whole_net.state_dict().items(), net.state_dict().values(), strict=True):
        assert torch.equal(a, b), key
    kept = {"means", "dev_accuracy", "dev_cross_entropy", "learning_rate", "epoch"}
    assert [row.model_dump(include=kept) for row in result.epochs] == [
        row.model_dump(include=kept) for row in whole_result.epochs
    ]
    assert (result.best_epoch, result.dev_accuracy) == (whole_result.best_epoch, whole_result.dev_accuracy)


@pytest.mark.parametrize("name", ["hard", "soft"])
@pytest.mark.parametrize("pool_frames", [1_000_000, 200])
def test_resumes_bit_equal_from_any_step(tmp_path: Path, name: str, pool_frames: int) -> None:
    whole = run(tmp_path / "whole", name, pool_frames=pool_frames, epochs=2)
    # Within an epoch, at its last step, at the first of the next one; each time from where the last one fell.
    for deaths in ([5, 9], [STEPS_PER_EPOCH - 1, 1, 1]):
        folder = tmp_path / "-".join(map(str, deaths))
        for die_at in deaths:
            with pytest.raises(Killed):
                run(folder, name, die_at=die_at, pool_frames=pool_frames, epochs=2, checkpoint_seconds=0)
        resumed = run(folder, name, pool_frames=pool_frames, epochs=2)
        assert len(resumed[2]) == 2 * STEPS_PER_EPOCH - sum(deaths)
        _assert_same(whole, resumed)


def test_muon_resumes_bit_equal(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", "soft", epochs=1, optimiser="muon")
    with pytest.raises(Killed):
        run(tmp_path / "broken", "soft", die_at=6, epochs=1, optimiser="muon", checkpoint_seconds=0)
    _assert_same(whole, run(tmp_path / "broken", "soft", epochs=1, optimiser="muon"))


def test_masks_resume_bit_equal(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", "soft", epochs=1, masks=WindowMasks())
    with pytest.raises(Killed):
        run(tmp_path / "broken", "soft", die_at=6, epochs=1, masks=WindowMasks(), checkpoint_seconds=0)
    _assert_same(whole, run(tmp_path / "broken", "soft", epochs=1, masks=WindowMasks()))


def test_steps_after_the_last_checkpoint_are_done_again(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", "hard")
    with pytest.raises(Killed):  # The only checkpoint is that of the first epoch's end.
        run(tmp_path / "broken", "hard", die_at=STEPS_PER_EPOCH + 8)
    resumed = run(tmp_path / "broken", "hard")
    assert len(resumed[2]) == 2 * STEPS_PER_EPOCH
    _assert_same(whole, resumed)


def test_death_between_the_best_weights_and_the_state_that_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    whole = run(tmp_path / "whole", "hard")
    with pytest.raises(Killed):
        run(tmp_path / "broken", "hard", die_at=STEPS_PER_EPOCH + 3, checkpoint_seconds=0)
    with monkeypatch.context() as patch:
        patch.setattr("asr_kd.train.loop.save_state", die)
        with pytest.raises(Killed):
            run(tmp_path / "broken", "hard")
    assert (tmp_path / "broken" / "best-0002.pt").is_file()
    _assert_same(whole, run(tmp_path / "broken", "hard"))


def test_checkpoints_are_bounded_in_number(tmp_path: Path) -> None:
    _, result, _ = run(tmp_path, "hard", checkpoint_seconds=0)
    files = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert files == [f"best-{result.best_epoch:04}.pt", LAST_FILE]
    discard_checkpoints(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tensorboard"]


def test_time_between_checkpoints_identifies_no_net() -> None:
    assert "checkpoint_seconds" not in TrainConfig(checkpoint_seconds=3).model_dump()
