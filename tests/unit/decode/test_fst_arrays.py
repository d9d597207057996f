from __future__ import annotations

import math

import kaldifst
import numpy as np

from asr_kd.decode.fst_arrays import ARC, FstArrays, from_arrays, lattice_to_arrays, to_arrays
from asr_kd.decode.hmm_fst import in_senones


def small_fst():
    fst = kaldifst.StdVectorFst()
    for _ in range(3):
        fst.add_state()
    fst.start = 1
    fst.set_final(2, 0.25)
    fst.add_arc(1, kaldifst.StdArc(3, 0, 0.5, 2))
    fst.add_arc(1, kaldifst.StdArc(0, 7, -1.5, 0))
    fst.add_arc(0, kaldifst.StdArc(0, 0, 2.0, 2))
    return fst


def test_arrays_of_a_small_fst():
    arrays = to_arrays(small_fst())
    assert arrays.start == 1
    assert arrays.finals.tolist() == [math.inf, math.inf, 0.25]
    assert arrays.num_arcs.tolist() == [1, 2, 0]
    assert arrays.sources.tolist() == [0, 1, 1]
    assert arrays.arcs.tolist() == [(0, 0, 2.0, 2), (3, 0, 0.5, 2), (0, 7, -1.5, 0)]


def test_round_trip():
    fst = small_fst()
    again = from_arrays(to_arrays(fst))
    assert str(again) == str(fst)
    assert again.start == fst.start
    assert [again.num_input_epsilons(state) for state in range(3)] == [1, 1, 0]


def test_fst_from_arrays_can_be_changed_and_used():
    fst = from_arrays(to_arrays(small_fst()))
    fst.add_arc(2, kaldifst.StdArc(9, 9, 1.0, 2))
    kaldifst.arcsort(fst, "ilabel")
    assert [arc.ilabel for arc in kaldifst.ArcIterator(fst, 1)] == [0, 3]
    assert fst.num_arcs(2) == 1


def test_empty_fst():
    arrays = to_arrays(kaldifst.StdVectorFst())
    assert (arrays.start, len(arrays.finals), len(arrays.arcs)) == (-1, 0, 0)
    assert from_arrays(arrays).num_states == 0


def test_many_random_arcs():
    rng = np.random.default_rng(0)
    num_arcs = rng.integers(0, 5, 1000)
    arcs = np.zeros(num_arcs.sum(), ARC)
    for name in ("ilabel", "olabel", "nextstate"):
        arcs[name] = rng.integers(0, 1000, len(arcs))
    arcs["weight"] = rng.normal(size=len(arcs))
    finals = np.where(rng.random(1000) < 0.5, np.inf, rng.random(1000)).astype(np.float32)
    again = to_arrays(from_arrays(FstArrays(5, finals, num_arcs, arcs)))
    assert again.start == 5
    assert np.array_equal(again.finals, finals)
    assert np.array_equal(again.num_arcs, num_arcs)
    assert np.array_equal(again.arcs, arcs)


def test_lattice_as_arrays():
    lattice = kaldifst.Lattice()
    for _ in range(3):
        lattice.add_state()
    lattice.start = 0
    lattice.set_final(2, kaldifst.LatticeWeight(1.0, -0.25))
    lattice.add_arc(0, kaldifst.LatticeArc(3, 7, kaldifst.LatticeWeight(0.5, -2.0), 1))
    lattice.add_arc(0, kaldifst.LatticeArc(0, 8, kaldifst.LatticeWeight(0.25, 0.0), 2))
    lattice.add_arc(1, kaldifst.LatticeArc(4, 0, kaldifst.LatticeWeight(0.0, 3.0), 2))
    arrays = lattice_to_arrays(lattice)
    assert arrays.start == 0
    assert arrays.finals.tolist() == [math.inf, math.inf, 0.75]
    assert arrays.num_arcs.tolist() == [2, 1, 0]
    assert arrays.arcs.tolist() == [(3, 7, -1.5, 1), (0, 8, 0.25, 2), (4, 0, 3.0, 2)]


def test_arcs_become_chains_that_share_their_ends():
    """Label 1 becomes 11 12 13, label 2 becomes 21; both arcs with label 1 enter state 1."""
    arcs = np.array([(1, 7, 0.5, 1), (2, 8, 0.25, 1), (0, 9, 0.0, 2), (1, 0, 2.0, 1)], ARC)
    finals = np.array([math.inf, 0.0, math.inf], dtype=np.float32)
    chains = in_senones(FstArrays(0, finals, np.array([3, 0, 1]), arcs), [[], [11, 12, 13], [21]])
    assert chains.num_arcs.tolist() == [3, 0, 1, 1, 1]
    assert chains.finals.tolist() == [math.inf, 0.0, math.inf, math.inf, math.inf]
    assert chains.arcs.tolist() == [
        (11, 7, 0.5, 3),
        (21, 8, 0.25, 1),
        (0, 9, 0.0, 2),
        (11, 0, 2.0, 3),
        (12, 0, 0.0, 4),
        (13, 0, 0.0, 1),
    ]
