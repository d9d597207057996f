"""Labels of several utterances at once against those of each net and utterance taken alone."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch import nn

from asr_kd.am.checkpoint import AcousticModel
from asr_kd.distill import labelling
from asr_kd.distill.dense_code import Dense
from asr_kd.distill.ensemble import ensemble_log_posteriors, tempered_log_posteriors
from asr_kd.distill.kept_code import Nucleus, Threshold, TopK
from asr_kd.distill.labelling import ChosenInGroups, Labeller, LabelTarget
from asr_kd.distill.sampled_code import Sampled
from asr_kd.distill.sparse import make_code
from asr_kd.distill.targets import dense_posteriors
from asr_kd.errors import ModelError
from tests.support.model_cards import frontend_card, model_card

NUM_SENONES, LENGTHS = 700, (30, 1, 57)
KEYS = [f"u{number}" for number in range(len(LENGTHS))]


class OtherNet(nn.Module):
    """A net of the user's, whose layers are not known."""

    def __init__(self, input_dim, window_width, num_senones):
        super().__init__()
        self.layer = nn.Linear(input_dim * window_width, num_senones)

    def forward(self, windows):
        assert windows.dim() == 3
        return self.layer(windows.flatten(1))


def model(seed, dim, left, net=None):
    options = {"hidden_layers": 2, "units": 24, "normalisation": "layer"}
    card = model_card(frontend_card(dim), NUM_SENONES, left, right=1, **options)
    torch.manual_seed(seed)
    net = net(dim, card.window.width, NUM_SENONES) if net else card.build_net()
    with torch.no_grad():
        for parameter in list(net.parameters())[-2:]:
            parameter.normal_(std=1.0)
    return AcousticModel(net.eval(), card, str(seed))


MODELS = [model(1, 5, 2), model(2, 5, 3), model(3, 4, 2, OtherNet)]
FEATURE_KEYS = ["a", "a", "b"]


def features():
    generator = torch.Generator().manual_seed(9)
    return {
        key: [torch.randn(length, dim, generator=generator) for length in LENGTHS]
        for key, dim in (("a", 5), ("b", 4))
    }


def logits_of(place, inputs):
    """Return one ``[T, S]`` a teacher."""
    return [each.logits(inputs[key][place].numpy()) for each, key in zip(MODELS, FEATURE_KEYS, strict=True)]


@pytest.mark.parametrize("logits_at_once", [1 << 22, 20 * NUM_SENONES])
@pytest.mark.parametrize(
    ("averaging", "weights"), [("arithmetic", None), ("geometric", None), ("weighted", [2.0, 1.0, 0.0])]
)
@pytest.mark.parametrize(
    "code", [Dense(), TopK(k=9, powers=(0.5,)), Nucleus(p=0.7, k=30), Threshold(k=12)], ids=str
)
def test_labels_are_those_of_nets_and_utterances_taken_alone(
    monkeypatch, code, averaging, weights, logits_at_once
):
    monkeypatch.setattr(labelling, "_LOGITS_AT_ONCE", logits_at_once)
    inputs = features()
    labeller = Labeller(MODELS, FEATURE_KEYS, [LabelTarget(2.0, code)], averaging, weights)
    (labels,) = labeller.label(inputs, KEYS)
    posterior_code = make_code(code, NUM_SENONES)
    for place, (length, each) in enumerate(zip(LENGTHS, labels, strict=True)):
        log_q = ensemble_log_posteriors(logits_of(place, inputs), 2.0, averaging, weights)
        expected = posterior_code.decode(posterior_code.encode(log_q, ""), length)
        got = posterior_code.decode(each.mean, length)
        torch.testing.assert_close(
            dense_posteriors(got, NUM_SENONES), dense_posteriors(expected, NUM_SENONES), atol=2e-3, rtol=1e-2
        )
        assert each.teachers == ()


@pytest.mark.parametrize(("averaging", "weights"), [("arithmetic", None), ("weighted", [2.0, 1.0, 0.0])])
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU's kernel takes no tensors of the processor")
def test_nets_taken_together_give_the_labels_of_nets_taken_in_turn(monkeypatch, averaging, weights):
    pytest.importorskip("triton", reason="Triton is built for Linux on x86-64")
    inputs = features()
    targets = [LabelTarget(2.0, Threshold(k=12)), LabelTarget(1.0, TopK(k=9), keep_apart=True)]
    labels = []
    for is_fused in (False, True):
        monkeypatch.setattr(labelling, "is_fused_mean_on", lambda device, senones, is_on=is_fused: is_on)
        labels.append(Labeller(MODELS, FEATURE_KEYS, targets, averaging, weights).label(inputs, KEYS))
    for target, in_turn, together in zip(targets, *labels, strict=True):
        code = make_code(target.code, NUM_SENONES)
        for length, one, other in zip(LENGTHS, in_turn, together, strict=True):
            assert one.teachers == other.teachers
            rows = [dense_posteriors(code.decode(each.mean, length), NUM_SENONES) for each in (one, other)]
            torch.testing.assert_close(*rows, atol=2e-3, rtol=1e-2)


def test_what_was_chosen_may_be_packed_elsewhere():
    targets = [LabelTarget(2.0, Threshold(k=12)), LabelTarget(1.0, TopK(k=9), keep_apart=True)]
    chosen = Labeller(MODELS, FEATURE_KEYS, targets).choose(features(), KEYS)
    assert chosen.is_light
    # Bytes of this very test, as a worker process is given them.
    assert pickle.loads(pickle.dumps(chosen)).pack() == chosen.pack()
    heavy = Labeller(MODELS, FEATURE_KEYS, [targets[0], LabelTarget(2.0, Dense())])
    assert not heavy.choose(features(), KEYS).is_light


def test_some_of_the_teachers_label_as_they_would_alone():
    targets = [LabelTarget(2.0, Threshold(k=12)), LabelTarget(1.0, TopK(k=9))]
    for averaging, weights, own in (("arithmetic", None, None), ("weighted", [2.0, 1.0, 3.0], [2.0, 3.0])):
        some = Labeller(MODELS, FEATURE_KEYS, targets, averaging, weights).of([0, 2])
        alone = Labeller([MODELS[0], MODELS[2]], ["a", "b"], targets, averaging, own)
        assert some.label(features(), KEYS) == alone.label(features(), KEYS)


def test_utterances_of_different_teachers_come_back_in_their_order():
    labeller = Labeller(MODELS, FEATURE_KEYS, [LabelTarget(2.0, Threshold(k=12))])
    inputs, members = features(), [(1,), (0, 2), (1,)]
    places = [[0, 2], [1]]
    chosen = ChosenInGroups(
        [
            labeller.of(teachers).choose(
                {key: [each[place] for place in group] for key, each in inputs.items()},
                [KEYS[place] for place in group],
            )
            for teachers, group in (((1,), [0, 2]), ((0, 2), [1]))
        ],
        places,
    )
    assert chosen.is_light
    (labels,) = chosen.pack()
    code = make_code(Threshold(k=12), NUM_SENONES)
    for place, (length, each) in enumerate(zip(LENGTHS, labels, strict=True)):
        logits = logits_of(place, inputs)
        log_q = ensemble_log_posteriors([logits[number] for number in members[place]], 2.0)
        expected = code.decode(code.encode(log_q, ""), length)
        got = code.decode(each.mean, length)
        rows = [dense_posteriors(soft, NUM_SENONES) for soft in (got, expected)]
        torch.testing.assert_close(*rows, atol=2e-3, rtol=1e-2)


def test_sampled_codes_draw_by_key():
    labeller = Labeller(MODELS, FEATURE_KEYS, [LabelTarget(2.0, Sampled(k=9))])
    (labels,) = labeller.label(features(), KEYS)
    (others,) = labeller.label(features(), ["x", *KEYS[1:]])
    assert [one == other for one, other in zip(labels, others, strict=True)] == [False, True, True]


def test_one_forward_pass_for_all_temperatures_codes_and_teachers_apart(monkeypatch):
    calls = []
    original = labelling._Net.logits
    monkeypatch.setattr(
        labelling._Net, "logits", lambda self, hidden: calls.append(1) or original(self, hidden)
    )
    targets = [LabelTarget(1.0, TopK(k=9)), LabelTarget(4.0, Dense(), keep_apart=True)]
    labeller = Labeller(MODELS[:2], FEATURE_KEYS[:2], targets)
    sharp, flat = labeller.label({"a": features()["a"]}, KEYS)
    assert len(calls) == 2
    code = make_code(Dense(), NUM_SENONES)
    inputs = features()
    for place, length in enumerate(LENGTHS):
        logits = logits_of(place, inputs)[:2]
        np.testing.assert_allclose(
            code.decode(flat[place].mean, length).probs, ensemble_log_posteriors(logits, 4.0).exp(), atol=1e-3
        )
        for number, data in enumerate(flat[place].teachers):
            apart = tempered_log_posteriors(logits[number], 4.0).exp()
            np.testing.assert_allclose(code.decode(data, length).probs, apart, atol=1e-3)
        assert sharp[place].teachers == ()
        soft = make_code(TopK(k=9), NUM_SENONES).decode(sharp[place].mean, length)
        top = ensemble_log_posteriors(logits, 1.0).argmax(1)
        assert dense_posteriors(soft, NUM_SENONES).argmax(1).tolist() == top.tolist()


def test_bf16_labels_are_near_those_of_fp32():
    inputs = features()
    code = make_code(Dense(), NUM_SENONES)
    log_q = {}
    for precision in ("fp32", "bf16"):
        labeller = Labeller(MODELS, FEATURE_KEYS, [LabelTarget(2.0, Dense())], precision=precision)
        (labels,) = labeller.label(inputs, KEYS)
        log_q[precision] = code.log_posteriors([each.mean for each in labels], LENGTHS)
    divergence = (log_q["fp32"].exp() * (log_q["fp32"] - log_q["bf16"])).sum(1)
    assert 0 < float(divergence.mean()) < 1e-3
    assert next(MODELS[0].net.parameters()).dtype == torch.float32


def test_weights_that_are_no_numbers_are_refused():
    broken = model(4, 5, 2)
    with torch.no_grad():
        broken.net.hidden[0].bias[0] = torch.nan
    labeller = Labeller([MODELS[0], broken], ["a", "a"], [LabelTarget(2.0, Threshold())])
    with pytest.raises(ModelError, match="not finite"):
        labeller.label({"a": features()["a"]}, KEYS)
