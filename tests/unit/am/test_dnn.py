from __future__ import annotations

import pytest
import torch

from asr_kd.am.dnn import Dnn, DnnConfig, matmul_flop_per_frame, num_parameters
from asr_kd.am.registry import ArchitectureConfig, build_net
from asr_kd.errors import ModelError


def test_paper_size_has_the_parameters_and_work_of_the_paper() -> None:
    # 26 * 40 = 1040 inputs; 1040*2560 + 7 * 2560^2 + 2560*14000 weights, 8*2560 + 14000 biases.
    with torch.device("meta"):
        net = Dnn(40, 26, 14_000, DnnConfig(hidden_layers=8, units=2560))
    weights = 1040 * 2560 + 7 * 2560**2 + 2560 * 14_000
    assert num_parameters(net) == weights + 8 * 2560 + 14_000 == 84_412_080
    assert matmul_flop_per_frame(net) == 2 * weights


def test_untrained_net_starts_near_the_uniform_distribution() -> None:
    torch.manual_seed(0)
    net = Dnn(40, 26, 120, DnnConfig(dropout=0)).eval()
    log_p = net(torch.randn(64, 26, 40)).log_softmax(1)
    assert log_p.exp().max() < 3 / 120
    assert log_p.exp().min() > 1 / (3 * 120)


def test_dropout_is_off_in_evaluation() -> None:
    net = Dnn(3, 2, 5, DnnConfig(units=16, dropout=0.5)).eval()
    windows = torch.randn(4, 2, 3)
    assert torch.equal(net(windows), net(windows))
    net.train()
    assert not torch.equal(net(windows), net(windows))


def test_layer_normalisation_stands_after_each_hidden_layer() -> None:
    net = Dnn(3, 2, 5, DnnConfig(hidden_layers=3, units=16, normalisation="layer"))
    assert sum(isinstance(module, torch.nn.LayerNorm) for module in net.modules()) == 3


def test_unknown_option_names_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"unitz.*hidden_layers, units, dropout"):
        build_net(ArchitectureConfig(options={"unitz": 3}), 40, 26, 120)


def test_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(
        ModelError, match=r'unknown acoustic model "lstm"; expected dnn or package.module:Class'
    ):
        build_net(ArchitectureConfig(name="lstm"), 40, 26, 120)


def test_class_that_is_no_net_is_refused() -> None:
    with pytest.raises(ModelError, match=r"no torch.nn.Module"):
        build_net(ArchitectureConfig(name="collections:OrderedDict"), 40, 26, 120)
