"""Teachers stored apart: their mean, chosen after writing, is that of the dense posteriors before."""

from __future__ import annotations

import re

import pytest
import torch

from asr_kd.data.windows import ContextWindow
from asr_kd.distill.dense_code import Dense
from asr_kd.distill.ensemble import ensemble_log_posteriors, tempered_log_posteriors
from asr_kd.distill.kept_code import Nucleus, Threshold, TopK
from asr_kd.distill.merge import merge_teachers
from asr_kd.distill.sampled_code import Sampled, SampledCode
from asr_kd.distill.shard_reader import ShardBatchSource
from asr_kd.distill.shard_set import open_shard_set
from asr_kd.distill.shard_writer import ShardSetWriter
from asr_kd.distill.sparse import make_code
from asr_kd.distill.targets import SoftTargets, dense_posteriors, soft_targets
from asr_kd.distill.teacher_gain import teacher_gain
from asr_kd.errors import ShardError
from tests.support import shard_sets

NUM_SENONES, NUM_TEACHERS, TEMPERATURE = 40, 3, 2.0
LENGTHS = {"u.1": 9, "u.2": 30, "u.3": 1, "u.4": 17}


def facts(**changes):
    fields = {
        "temperature": TEMPERATURE,
        "code": Dense(),
        "teachers": ("aa", "bb", "cc"),
        "feature_dim": 2,
        "num_senones": NUM_SENONES,
        "prior": tuple(prior().tolist()),
        "window": {"left": 0, "right": 0},
        "keep_apart": True,
    }
    return shard_sets.facts(**{**fields, **changes})


def prior():
    return torch.linspace(0, 2, NUM_SENONES).softmax(0)


def logits(utt_id):
    """Teachers that agree on the whole ``[N, T, S]``."""
    generator = torch.Generator().manual_seed(int(utt_id[2:]))
    common = 4 * torch.randn(1, LENGTHS[utt_id], NUM_SENONES, generator=generator)
    return common + 2 * torch.randn(NUM_TEACHERS, LENGTHS[utt_id], NUM_SENONES, generator=generator)


def write(folder, the_facts, stop_before=None, shard_frames=20):
    with ShardSetWriter(folder, the_facts, shard_frames=shard_frames) as writer:
        for number, (utt_id, num_frames) in enumerate(LENGTHS.items()):
            if utt_id == stop_before:
                raise KeyboardInterrupt
            if writer.is_written("dev", utt_id):
                continue
            each = tempered_log_posteriors(logits(utt_id), TEMPERATURE)
            mean = ensemble_log_posteriors(
                logits(utt_id), TEMPERATURE, the_facts.averaging, the_facts.weights
            )
            frames = torch.stack([torch.full((num_frames,), number), torch.arange(num_frames)], 1).float()
            apart = [writer.encode_teacher(n, utt_id, log_q) for n, log_q in enumerate(each)]
            labels = logits(utt_id).sum(0).argmax(1)
            writer.add("dev", utt_id, frames, labels, mean, teachers=apart if the_facts.keep_apart else ())
        return writer.finish()


def rows(folder, **arguments):
    """Return dense posteriors by utterance number and frame."""
    source = ShardBatchSource(open_shard_set(folder), ["dev"], 8, ContextWindow(0, 0), **arguments)
    found = {}
    for batch in source.epoch(0):
        dense = dense_posteriors(soft_targets(batch.targets), NUM_SENONES, prior())
        for row, name in zip(dense, batch.windows[:, 0].int().tolist(), strict=True):
            found[tuple(name)] = row
    return found


def expected(teachers, temperature=TEMPERATURE, averaging="arithmetic", weights=None):
    found = {}
    for number, utt_id in enumerate(LENGTHS):
        mean = ensemble_log_posteriors(logits(utt_id)[teachers], temperature, averaging, weights)
        found.update({(number, frame): row for frame, row in enumerate(mean.exp())})
    return found


def stacked(found):
    return torch.stack([found[name] for name in sorted(found)])


@pytest.mark.parametrize(("choice", "teachers"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), ((3, 1), [2, 0])])
def test_dense_means_are_those_of_the_posteriors_before_storing(tmp_path, choice, teachers):
    write(tmp_path, facts())
    got, want = stacked(rows(tmp_path, teachers=choice)), stacked(expected(teachers))
    # float16 logarithms of at most 20, then float16 probabilities, twice.
    assert ((got - want).abs() <= want * (20 * 2**-11 + 2 * 2**-11) + 2**-24).all()


def test_all_teachers_apart_are_their_stored_mean(tmp_path):
    write(tmp_path, facts())
    torch.testing.assert_close(
        stacked(rows(tmp_path, teachers=3)), stacked(rows(tmp_path)), rtol=0.01, atol=1e-6
    )


def test_weights_and_geometric_means(tmp_path):
    write(tmp_path / "w", facts(averaging="weighted", weights=(1.0, 3.0, 2.0)))
    want = stacked(expected([0, 1], averaging="weighted", weights=[1.0, 3.0]))
    torch.testing.assert_close(stacked(rows(tmp_path / "w", teachers=2)), want, rtol=0.012, atol=1e-6)
    write(tmp_path / "g", facts(averaging="geometric"))
    want = stacked(expected([0, 1], averaging="geometric"))
    torch.testing.assert_close(stacked(rows(tmp_path / "g", teachers=2)), want, rtol=0.02, atol=2e-5)


def test_teachers_apart_are_tempered_again_each(tmp_path):
    write(tmp_path, facts())
    with pytest.raises(ShardError, match="temperature cannot be changed"):
        rows(tmp_path, temperature=4.0)
    got = stacked(rows(tmp_path, temperature=4.0, teachers=3))
    torch.testing.assert_close(got, stacked(expected([0, 1, 2], 4.0)), rtol=0.012, atol=1e-6)


def test_the_mean_of_sampled_teachers_is_unbiased():
    num_draws = 4000
    code = SampledCode(Sampled(k=5), NUM_SENONES)
    log_q = tempered_log_posteriors(logits("u.2")[:, :1], 1.0)  # [N, 1, S]
    parts = []
    for number in range(NUM_TEACHERS):
        repeated = log_q[number].repeat(num_draws, 1)
        parts.append(code.decode(code.encode(repeated, f"u targets.{number}"), num_draws))
    merged = merge_teachers(parts, [1 / 3] * 3, NUM_SENONES, NUM_SENONES)
    draws = dense_posteriors(merged, NUM_SENONES).double()
    # Teachers are drawn apart: the variance of the mean is a ninth of the sum of theirs.
    variance = sum(code.variance(each) for each in log_q)[0] / 9
    z = (draws.mean(0) - log_q.double().exp().mean(0)[0]) / (variance / num_draws).sqrt().clamp_min(1e-7)
    assert z.abs().max() < 4.5
    seen = variance > 1e-6
    assert (draws.var(0)[seen] / variance[seen]).mean() == pytest.approx(1, abs=0.1)


def test_a_union_by_hand():
    # Teacher 1 keeps 0 and 1, teacher 2 keeps 1 and 3; padding names senone 0 and is not in the set.
    first = SoftTargets(torch.tensor([[0.5, 0.3]]), torch.tensor([[0, 1]]), torch.tensor([0.2]))
    second = SoftTargets(torch.tensor([[0.6, 0.1]]), torch.tensor([[1, 3]]), torch.tensor([0.3]))
    third = SoftTargets(torch.tensor([[0.8, 0.0]]), torch.tensor([[1, 0]]), torch.tensor([0.2]))
    even = torch.full((5,), 0.2)
    merged = merge_teachers([first, second], [0.5, 0.5], 5, 4, even)
    # Of 0 teacher 2 says 0.3 / 3 = 0.1, its least kept; of 3 teacher 1 says 0.2 / 3.
    assert merged.ids.tolist() == [[0, 1, 3, 0]]
    expected_probs = [0.3, 0.45, (0.2 / 3 + 0.1) / 2, 0.0]
    assert merged.probs[0].tolist() == pytest.approx(expected_probs, abs=5e-4)
    assert merged.tail.tolist() == pytest.approx([1 - sum(expected_probs)], abs=5e-4)
    # With room for one senone the others join the tail.
    one = merge_teachers([first, second], [0.5, 0.5], 5, 1, even)
    assert (one.ids.tolist(), one.tail.tolist()) == ([[1]], pytest.approx([0.55], abs=5e-4))
    # 0.2 / 4 of the third teacher's tail for senone 0, at weight a quarter.
    weighted = merge_teachers([first, third], [0.75, 0.25], 5, 2, even)
    assert weighted.probs[0].tolist() == pytest.approx([0.75 * 0.5 + 0.25 * 0.05, 0.425], abs=5e-4)


@pytest.mark.parametrize("config", [TopK(k=9), Nucleus(p=0.9, k=20), Threshold(least=0.01, k=20)], ids=str)
def test_kept_codes_are_off_by_no_more_than_their_bound(tmp_path, config):
    write(tmp_path, facts(code=config))
    code, want = make_code(config, NUM_SENONES), expected([0, 1, 2])
    source = ShardBatchSource(open_shard_set(tmp_path), ["dev"], 8, ContextWindow(0, 0), teachers=3)
    bounds = {}
    for number, utt_id in enumerate(LENGTHS):
        bound = torch.zeros(LENGTHS[utt_id], NUM_SENONES)
        for log_q in tempered_log_posteriors(logits(utt_id), TEMPERATURE):
            soft = code.decode(code.encode(log_q, "a"), len(log_q))
            kept = dense_posteriors(SoftTargets(soft.probs, soft.ids), NUM_SENONES) > 0
            least = (
                soft.probs.float().masked_fill(soft.probs <= 0, torch.inf).amin(1).minimum(soft.tail.float())
            )
            # What is not kept may be as large as the least that is; both are off by the code's factor.
            bound += torch.where(kept, 0.0, 1.1 * least[:, None]) / 3
        bounds.update({(number, frame): row for frame, row in enumerate(bound)})
    for batch in source.epoch(0):
        soft = soft_targets(batch.targets)
        torch.testing.assert_close(
            soft.probs.float().sum(1) + soft.tail.float(), torch.ones(len(soft)), atol=0.003, rtol=0
        )
        for row, name in enumerate(tuple(name) for name in batch.windows[:, 0].int().tolist()):
            for prob, pdf_id in zip(soft.probs[row].tolist(), soft.ids[row].tolist(), strict=True):
                if prob > 0:
                    factor = 2 ** (1.5 / config.steps) * 1.01 - 1
                    off = abs(prob - float(want[name][pdf_id]))
                    assert off <= float(bounds[name][pdf_id]) + factor * float(want[name][pdf_id]) + 0.0035


@pytest.mark.parametrize(
    ("changes", "choice", "reason"),
    [
        ({"keep_apart": False}, 2, "the mean alone .*keep_apart"),
        ({"code": TopK(k=4, tail="renormalise")}, 2, "unknown with tail: renormalise"),
        ({"averaging": "geometric", "code": TopK(k=4)}, 2, "geometric mean needs .* dense"),
        ({}, 4, "no such choice.*1 to 3.*got 4"),
        ({}, 0, "no such choice"),
        ({}, (1, 1), "no such choice"),
        ({"averaging": "weighted", "weights": (0.0, 1.0, 1.0)}, 1, "no weight"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_reason(tmp_path, changes, choice, reason):
    write(tmp_path, facts(**changes))
    with pytest.raises(ShardError, match=reason):
        rows(tmp_path, teachers=choice)


def test_the_header_says_so_and_other_sets_keep_their_bytes(tmp_path):
    header = write(tmp_path / "apart", facts())
    assert header.keep_apart
    assert header.bytes_per_frame()["teachers"] == pytest.approx(3 * header.bytes_per_frame()["targets"])
    write(tmp_path / "mean", facts(keep_apart=False))
    text = (tmp_path / "mean" / "header.json").read_text()
    assert not re.search("keep_apart|order_seed|teacher_bytes", text)
    open_shard_set(tmp_path / "apart").verify()
    with pytest.raises(ShardError, match="begun here with another keep_apart"):
        ShardSetWriter(tmp_path / "apart", facts(keep_apart=False), shard_frames=20)


@pytest.mark.parametrize("code", [Dense(), Threshold(least=0.01, k=9), Sampled(k=6)], ids=str)
@pytest.mark.parametrize("stop_before", ["u.2", "u.3", "u.4"])
def test_a_broken_off_run_resumes_to_the_same_bytes(tmp_path, code, stop_before):
    write(tmp_path / "whole", facts(code=code))
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "resumed", facts(code=code), stop_before=stop_before)
    write(tmp_path / "resumed", facts(code=code))
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "resumed" / name).read_bytes()


def test_a_missing_teacher_is_noticed(tmp_path):
    write(tmp_path, facts())
    text = (tmp_path / "header.json").read_text().replace('"cc"', '"cc", "dd"')
    (tmp_path / "header.json").write_text(text)
    with pytest.raises(ShardError, match=r"members missing: \['targets.04'\]"):
        open_shard_set(tmp_path).verify()


@pytest.mark.parametrize("code", [Dense(), TopK(k=NUM_SENONES), Threshold(least=0.001, k=40)], ids=str)
def test_the_gain_against_the_number_of_teachers(tmp_path, code):
    write(tmp_path, facts(code=code))
    gain = teacher_gain(tmp_path)
    labels = torch.cat([logits(utt_id).sum(0).argmax(1) for utt_id in LENGTHS])
    each = torch.cat([tempered_log_posteriors(logits(utt_id), TEMPERATURE) for utt_id in LENGTHS], 1).exp()

    def accuracy(teachers):
        return float((each[teachers].mean(0).argmax(1) == labels).double().mean())

    assert [(row.num_teachers, row.num_subsets) for row in gain.rows] == [(1, 3), (2, 3), (3, 1)]
    want = [accuracy([0]), accuracy([1]), accuracy([2])]
    tolerance = 1e-6 if code == Dense() else 0.03  # levels tie now and then
    assert gain.rows[0].accuracy == pytest.approx(sum(want) / 3, abs=tolerance)
    assert gain.rows[0].sd == pytest.approx(torch.tensor(want).std().item(), abs=tolerance)
    assert gain.rows[2].accuracy == pytest.approx(accuracy([0, 1, 2]), abs=tolerance)
    assert gain.stored_mean == pytest.approx(accuracy([0, 1, 2]), abs=tolerance)
    assert gain.num_frames == len(labels)
    assert [row.num_subsets for row in teacher_gain(tmp_path, max_subsets=2).rows] == [2, 2, 1]


def test_no_gain_from_a_mean_alone(tmp_path):
    write(tmp_path, facts(keep_apart=False))
    with pytest.raises(ShardError, match="cannot be told apart"):
        teacher_gain(tmp_path)
