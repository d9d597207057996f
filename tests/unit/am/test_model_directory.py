from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from asr_kd.am.checkpoint import CARD_FILE, ModelCard, load_model, save_model
from asr_kd.am.prior import log_likelihoods, log_prior
from asr_kd.errors import ModelError
from tests.support.model_cards import frontend_card, model_card


def _card() -> ModelCard:
    return model_card(
        frontend_card(3, cmvn="speaker"), num_senones=5, left=2, right=1, hidden_layers=2, units=8
    )


def _saved(folder: Path) -> torch.nn.Module:
    torch.manual_seed(3)
    net = _card().build_net()
    save_model(folder, net, _card())
    return net.eval()


def test_round_trip_keeps_the_logits(tmp_path: Path) -> None:
    net = _saved(tmp_path / "model")
    model = load_model(tmp_path / "model")
    features = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    logits = model.logits(features)
    assert logits.shape == (7, 5)
    # Frame 3's window holds frames 1 to 4; frame 0's repeats the edge frame twice.
    inner = net(torch.from_numpy(features[1:5])[None])
    edge = net(torch.from_numpy(features[[0, 0, 0, 1]])[None])
    torch.testing.assert_close(logits[3:4], inner)
    torch.testing.assert_close(logits[0:1], edge)


def test_features_of_another_width_are_refused(tmp_path: Path) -> None:
    _saved(tmp_path / "model")
    with pytest.raises(ModelError, match=r"expected \[T, 3\], got \[7, 4\]"):
        load_model(tmp_path / "model").logits(np.zeros((7, 4), dtype=np.float32))


def test_folder_without_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a model directory"):
        load_model(tmp_path)


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    _saved(tmp_path / "model")
    path = tmp_path / "model" / CARD_FILE
    card = json.loads(path.read_text())
    card["architecture"]["options"]["units"] = 9
    path.write_text(json.dumps(card))
    with pytest.raises(ModelError, match=r"weights do not fit model.json"):
        load_model(tmp_path / "model")


def test_prior_is_smoothed_and_normalised() -> None:
    prior = log_prior(np.array([3, 0, 4]))
    np.testing.assert_allclose(np.exp(prior), [4 / 10, 1 / 10, 5 / 10], rtol=1e-6)


def test_scaled_likelihood_divides_by_the_prior() -> None:
    log_posteriors = np.log(np.array([[0.5, 0.25, 0.25]], dtype=np.float32))
    prior = np.log(np.array([0.5, 0.125, 0.375], dtype=np.float32))
    np.testing.assert_allclose(np.exp(log_likelihoods(log_posteriors, prior)), [[1.0, 2.0, 2 / 3]], rtol=1e-6)
