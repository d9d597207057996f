from __future__ import annotations

import math

import kaldifst
import pytest

from asr_kd.decode.fst_arrays import to_arrays
from asr_kd.decode.word_lattice import Candidate, WordLattice, vote
from asr_kd.errors import ConfigError

WORDS = ("a", "b", "c", "d")


def lattice(arcs, finals, num_states=3) -> WordLattice:
    fst = kaldifst.StdVectorFst()
    for _ in range(num_states):
        fst.add_state()
    fst.start = 0
    for source, word, cost, target in arcs:
        word_id = WORDS.index(word) + 1
        fst.add_arc(source, kaldifst.StdArc(word_id, word_id, cost, target))
    for state, cost in finals.items():
        fst.set_final(state, cost)
    return WordLattice(to_arrays(fst), WORDS)


SAUSAGE = lattice([(0, "a", 0.2, 1), (0, "b", 0.9, 1), (1, "c", 0.1, 2), (1, "d", 0.5, 2)], {2: 0.3})


def test_nbest_is_in_the_order_of_costs():
    found = SAUSAGE.nbest(10)
    assert [each.text for each in found] == ["a c", "a d", "b c", "b d"]
    assert [each.cost for each in found] == pytest.approx([0.6, 1.0, 1.3, 1.7])
    assert SAUSAGE.nbest(2) == found[:2]


def test_a_list_has_an_entry_at_least():
    with pytest.raises(ConfigError, match="n-best list"):
        SAUSAGE.nbest(0)


@pytest.mark.parametrize("words", [("a", "c"), ("b", "d")])
def test_posteriors_of_competing_words_sum_to_one(words):
    """Of two words that differ by 0.7 and by 0.4 in cost."""
    first, second = SAUSAGE.word_posteriors(words)
    assert first == pytest.approx({"a": 1 / (1 + math.exp(-0.7)), "b": 1 / (1 + math.exp(0.7))})
    assert second == pytest.approx({"c": 1 / (1 + math.exp(-0.4)), "d": 1 / (1 + math.exp(0.4))})
    assert SAUSAGE.confidences(words) == pytest.approx([first[words[0]], second[words[1]]])


def test_a_word_that_may_not_be_there():
    """ "a b" with probability 3/4, "a" with 1/4."""
    found = lattice([(0, "a", 0.0, 1), (1, "b", 0.0, 2)], {1: math.log(3), 2: 0.0})
    first, second = found.word_posteriors(("a", "b"))
    assert first == pytest.approx({"a": 1.0})
    assert second == pytest.approx({"b": 0.75, "": 0.25})
    assert found.word_posteriors(("a",)) == [pytest.approx({"a": 1.0})]


def test_a_word_in_another_place_supports_itself():
    """ "a b" and "c a b" have the same "a" and "b", though their places differ."""
    found = WordLattice.of_candidates([Candidate(("a", "b"), 0.0), Candidate(("c", "a", "b"), 0.5)])
    assert found.confidences(("a", "b")) == pytest.approx([1.0, 1.0])
    place = 1 / (1 + math.exp(0.5))
    assert found.word_posteriors(("c", "a", "b"))[0] == pytest.approx({"c": place, "": 1 - place})


def test_a_list_as_a_lattice():
    entries = [Candidate(("a", "c"), -3.0), Candidate((), -2.5), Candidate(("a",), -1.0)]
    found = WordLattice.of_candidates(entries)
    assert found.nbest(5) == entries
    weights = [math.exp(-each.cost) for each in entries]
    first, _ = found.word_posteriors(("a", "c"))
    assert first["a"] == pytest.approx((weights[0] + weights[2]) / sum(weights))
    assert sum(first.values()) == pytest.approx(1.0)


def test_only_the_empty_sequence():
    found = WordLattice.of_candidates([Candidate((), 1.0)])
    assert found.nbest(3) == [Candidate((), 1.0)]
    assert found.word_posteriors(()) == []
    assert found.word_posteriors(("x",)) == [{"": 1.0}]


def test_a_word_that_the_lattice_lacks_has_no_confidence():
    assert SAUSAGE.confidences(("x", "c"))[0] == 0.0


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a b c", "a d c", "a d c"], "a d c"),
        (["a b", "a c b", "a c b"], "a c b"),
        (["a c b", "a b", "a b"], "a b"),
        (["a b c", "a b d", "d b c"], "a b c"),
        (["", "a", "a"], "a"),
        (["a", "", ""], ""),
        (["a b", "c d"], "a b"),
        (["x a b c d", "a b c d y", "a b c d"], "a b c d"),
    ],
)
def test_vote_of_several_systems(texts, expected):
    """Each system has one vote; without a majority the first one's word stays."""
    assert " ".join(vote([text.split() for text in texts])) == expected
