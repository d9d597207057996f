"""One dev utterance that could not be aligned broke every student after its first epoch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from asr_kd.data.windows import NO_LABEL, ContextWindow
from asr_kd.errors import ModelError
from asr_kd.train.config import TrainConfig
from asr_kd.train.loop import Trainer, cross_entropy
from tests.support.memory_source import MemorySource

WINDOW = ContextWindow(0, 0)
LOGITS = torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0], [0.0, 2.0], [5.0, 1.0]])
"""Of five frames, the first right, the second wrong and the others without a label."""


def _evaluated(folder: Path, pdf_ids: list[int]) -> tuple[float, float]:
    source = MemorySource([LOGITS], {"pdf_ids": [torch.tensor(pdf_ids, dtype=torch.int32)]}, 2, WINDOW)
    config = TrainConfig(epochs=1, precision="fp32", device="cpu")
    identity = nn.Linear(2, 2, bias=False)
    nn.init.eye_(identity.weight)
    net = nn.Sequential(nn.Flatten(), identity)
    trainer = Trainer(net, source, source, cross_entropy, config, folder, 1, "net")
    return trainer.evaluate()


def test_are_left_out_of_its_accuracy(tmp_path: Path) -> None:
    accuracy, nats = _evaluated(tmp_path, [0, 0, NO_LABEL, NO_LABEL, NO_LABEL])
    assert accuracy == 0.5
    expected = nn.functional.cross_entropy(LOGITS[:2], torch.tensor([0, 0]))
    assert nats == pytest.approx(float(expected))


def test_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="net: no frame of dev has a label"):
        _evaluated(tmp_path, [NO_LABEL] * 5)
