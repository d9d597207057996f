from __future__ import annotations

import numpy as np
import pytest

from asr_kd.decode.beam import DecodeConfig
from asr_kd.decode.graph import build_graph, save_graph
from asr_kd.decode.parallel import decode_all
from asr_kd.decode.tune import TuningGrid, TuningPoint, search_grid, tune
from asr_kd.errors import ConfigError
from asr_kd.lang.hmm import HmmTopology, monophone_hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.ngram import uniform_ngram
from asr_kd.lang.phones import PhoneSet

GRID = TuningGrid((0.1, 0.2, 0.3, 0.4, 0.5), (-2.0, -1.0, 0.0, 1.0, 2.0))


class Errors:
    """A table of errors that notes what was asked for."""

    def __init__(self, function):
        self.function = function
        self.asked = []

    def __call__(self, scale, penalty):
        self.asked.append((scale, penalty))
        return self.function(scale, penalty)


def test_a_bowl_is_searched_down_to_its_bottom():
    """Its axis is diagonal, so the best penalty at one scale is not the best of all."""
    errors = Errors(lambda s, p: round(100 * ((10 * s - 4 + 0.8 * p) ** 2 + 0.3 * (p - 1) ** 2)))
    result = search_grid(errors, TuningGrid(tuple(n / 10 for n in range(1, 8)), GRID.insertion_penalties))
    assert (result.best.acoustic_scale, result.best.insertion_penalty) == (0.3, 1.0)
    assert result.at_edge == ()


def test_order_and_number_of_points():
    errors = Errors(lambda s, p: round(100 * abs(s - 0.3) + 10 * abs(p)))
    result = search_grid(errors, GRID)
    assert errors.asked[:5] == [(s, 0.0) for s in GRID.acoustic_scales]
    assert errors.asked[5:9] == [(0.3, p) for p in (-2.0, -1.0, 1.0, 2.0)]
    assert set(errors.asked[9:]) == {(0.2, -1.0), (0.2, 1.0), (0.4, -1.0), (0.4, 1.0)}
    assert len(set(errors.asked)) == len(errors.asked) == len(result.points) == 13
    assert result.best == TuningPoint(0.3, 0.0, 0)
    assert result.best in result.points


def test_ties_take_the_middle():
    assert search_grid(lambda s, p: 7, GRID).best == TuningPoint(0.3, 0.0, 7)


def test_ties_beside_the_middle_take_the_smaller_scale():
    grid = TuningGrid((0.1, 0.2, 0.3, 0.4), (0.0,))
    assert search_grid(lambda s, p: 0 if s in (0.2, 0.3) else 1, grid).best.acoustic_scale == 0.2
    # The two ends are as good: their middle is as far from both.
    assert search_grid(lambda s, p: 1 if s in (0.2, 0.3) else 0, grid).best.acoustic_scale == 0.1


def test_an_optimum_at_the_edge_is_named():
    assert search_grid(lambda s, p: round(-10 * s + p), GRID).at_edge == (
        "acoustic_scale",
        "insertion_penalty",
    )
    assert search_grid(lambda s, p: round(10 * s + abs(p)), GRID).at_edge == ("acoustic_scale",)
    assert search_grid(lambda s, p: 0, TuningGrid((1.0,), (0.0,))).at_edge == ()


def test_a_plateau_is_seen_whole_and_its_middle_taken():
    """The middle of what the first two passes see is another one: it would be (0.3, 0.0)."""
    plateau = {
        (0.3, 0.0),
        (0.3, 1.0),
        (0.3, 2.0),
        (0.4, 2.0),
        (0.4, 1.0),
        (0.5, 1.0),
        (0.5, 2.0),
        (0.3, -1.0),
    }
    result = search_grid(lambda s, p: 0 if (s, p) in plateau else 1, GRID)
    assert {(p.acoustic_scale, p.insertion_penalty) for p in result.points if not p.num_errors} == plateau
    assert (result.best.acoustic_scale, result.best.insertion_penalty) == (0.4, 1.0)
    # That reaches the last scale and the last penalty.
    assert result.at_edge == ("acoustic_scale", "insertion_penalty")


def test_a_grid_without_zero_starts_at_the_penalty_nearest_to_it():
    errors = Errors(lambda s, p: 0)
    search_grid(errors, TuningGrid((0.1, 0.2), (-3.0, 1.0, 2.0)))
    assert errors.asked[:2] == [(0.1, 1.0), (0.2, 1.0)]


@pytest.mark.parametrize(
    ("scales", "penalties", "message"),
    [
        ((), (0.0,), "acoustic_scales"),
        ((0.2, 0.1), (0.0,), "acoustic_scales"),
        ((0.1, 0.1), (0.0,), "acoustic_scales"),
        ((0.0, 0.1), (0.0,), "above 0"),
        ((0.1,), (), "insertion_penalties"),
    ],
)
def test_grid_is_checked(scales, penalties, message):
    with pytest.raises(ConfigError, match=message):
        TuningGrid(scales, penalties)


def test_tuning_finds_the_penalty_that_gives_the_right_number_of_words(tmp_path):
    lexicon = Lexicon({"a": (("A",),), "b": (("B",),), "c": (("A", "B"),)})
    hmm = monophone_hmm(PhoneSet.from_lexicon(lexicon), HmmTopology(1, 1))
    folder = tmp_path / "graph"
    save_graph(folder, build_graph(lexicon, hmm, uniform_ngram(lexicon.words)))
    rng = np.random.default_rng(0)
    matrices = {f"u{n}": rng.normal(0, 2, (30, hmm.num_pdfs)).astype(np.float32) for n in range(3)}
    target = DecodeConfig(acoustic_scale=0.5, insertion_penalty=2.0)
    expected = {utt_id: found.text for utt_id, found in decode_all(folder, matrices.items(), target)}

    def count_errors(hypotheses):
        assert list(hypotheses) == list(expected)
        return sum(abs(len(text.split()) - len(expected[u].split())) for u, text in hypotheses.items())

    grid = TuningGrid((0.5,), (-2.0, 0.0, 2.0, 20.0))
    result = tune(folder, matrices.items, count_errors, grid, num_processes=1)
    assert result.best == TuningPoint(0.5, 2.0, 0)
    assert [point.insertion_penalty for point in result.points] == list(grid.insertion_penalties)
    assert min(point.num_errors for point in result.points if point != result.best) > 0
