"""Forced alignment of single utterances: hand-worked paths, silence, pronunciations, beams, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from asr_kd.align.equal import align_equal
from asr_kd.align.segments import segments
from asr_kd.align.viterbi import (
    Aligner,
    AlignmentConfig,
    AlignmentFailure,
    align_utterance,
    min_num_frames,
    transcript_graph,
    transcript_pdf_ids,
)
from asr_kd.errors import AlignmentError, LexiconError, ModelError
from asr_kd.lang.hmm import Hmm, HmmTopology, monophone_hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.phones import PhoneSet
from asr_kd.lang.search import viterbi_search

LEXICON = Lexicon({"a": (("A",),), "ab": (("A", "B"),), "the": (("D", "E"), ("D", "I", "I"))})
PHONES = PhoneSet.from_lexicon(LEXICON)  # SIL A B D E I
ONE_STATE = monophone_hmm(PHONES, HmmTopology(1, 1))
TWO_STATES = monophone_hmm(PHONES, HmmTopology(2, 1))


def scores_of(phones: str, hmm: Hmm = ONE_STATE) -> np.ndarray:
    """Return scores that want the given phone at each frame, whatever its state: 0 there, -10 elsewhere."""
    scores = np.full((len(phones.split()), hmm.num_pdfs), -10.0, dtype=np.float32)
    for frame, phone in enumerate(phones.split()):
        scores[frame, hmm.pdf_ids(PHONES.phone_id(phone))] = 0.0
    return scores


def phones_of(pdf_ids: np.ndarray | None, hmm: Hmm = ONE_STATE) -> str:
    assert pdf_ids is not None
    return " ".join(PHONES.phone(hmm.tree.phone_and_state(pdf)[0]) for pdf in pdf_ids)


@pytest.mark.parametrize(
    "heard",
    ["SIL SIL A A B B SIL D E SIL", "A B D E", "A B SIL SIL D D D I I I", "SIL A B B D E E E E E"],
)
def test_silence_is_optional_and_the_spoken_pronunciation_wins(heard: str) -> None:
    graph = transcript_graph(["ab", "the"], LEXICON, ONE_STATE)
    result = viterbi_search(graph, scores_of(heard), beam=1000.0)
    assert result is not None
    assert phones_of(result.pdf_ids) == heard
    assert result.olabels == [LEXICON.word_id("ab"), LEXICON.word_id("the")]


def test_what_the_transcript_lacks_is_never_aligned() -> None:
    graph = transcript_graph(["a"], LEXICON, ONE_STATE)
    pdf_ids = align_utterance(scores_of("SIL B B B A SIL"), graph, 1000.0, 1000.0)
    assert phones_of(pdf_ids) in {"SIL SIL SIL SIL A SIL", "SIL A A A A SIL"}


def test_costs_of_a_path_worked_out_by_hand() -> None:
    # SIL A A, then no silence. Silence 0.2: ln 0.2 for the first, ln 0.8 for none at the end.
    # Self-loops of 0.75: one loop and one exit of A, one exit of SIL, all scaled by 0.1.
    graph = transcript_graph(["a"], LEXICON, ONE_STATE, silence_probability=0.2, transition_scale=0.1)
    result = viterbi_search(graph, scores_of("SIL A A"), beam=1000.0)
    assert result is not None
    transitions = math.log(0.25) + math.log(0.75) + math.log(0.25)
    assert result.cost == pytest.approx(-math.log(0.2) - math.log(0.8) - 0.1 * transitions, abs=1e-5)


def test_a_change_of_state_is_where_the_scores_say() -> None:
    # Two frames of A's first state, then one of its second: scores of the states differ.
    scores = np.zeros((3, TWO_STATES.num_pdfs), np.float32)
    first, second = TWO_STATES.pdf_ids(PHONES.phone_id("A"))
    scores[:, 0] = -100
    scores[:2, second] = -5
    scores[2, first] = -5
    pdf_ids = align_utterance(scores, transcript_graph(["a"], LEXICON, TWO_STATES), 1000.0, 1000.0)
    assert pdf_ids is not None
    assert pdf_ids.tolist() == [first, first, second]


def test_repeated_words_are_told_apart() -> None:
    aligner = Aligner(LEXICON, TWO_STATES, AlignmentConfig())
    pdf_ids = aligner.align("u", ["a", "a"], scores_of("A A A A A SIL", TWO_STATES))
    assert isinstance(pdf_ids, np.ndarray)
    assert [segment.phone for segment in segments(pdf_ids, TWO_STATES)] == ["A", "A", "SIL"]


def test_the_retry_beam_finds_what_the_first_beam_lost() -> None:
    # Thirty long pronunciations sound right at first but cannot end; the short one costs 50 at once.
    names = [f"P{number:02}" for number in range(30)]
    lexicon = Lexicon({"w": (("X",), *((name, name, name) for name in names))})
    hmm = monophone_hmm(PhoneSet.from_lexicon(lexicon), HmmTopology(1, 1))
    graph = transcript_graph(["w"], lexicon, hmm)
    scores = np.zeros((1, hmm.num_pdfs), np.float32)
    x = hmm.pdf_ids(hmm.phone_set.phone_id("X"))[0]
    scores[0, x] = -50.0
    scores = np.vstack([scores, scores])
    assert align_utterance(scores, graph, 10.0, 10.0) is None
    found = align_utterance(scores, graph, 10.0, 200.0)
    assert found is not None
    assert x in found


def test_shortest_duration_takes_the_shortest_pronunciation() -> None:
    assert min_num_frames(["ab", "the"], LEXICON, ONE_STATE) == 4
    assert min_num_frames(["ab", "the", "a"], LEXICON, TWO_STATES) == 10


def test_too_short_utterances_fail_with_both_numbers() -> None:
    aligner = Aligner(LEXICON, TWO_STATES, AlignmentConfig())
    failure = aligner.align("utt7", ["ab", "the"], scores_of("A B D D E E E", TWO_STATES))
    assert failure == AlignmentFailure(
        "utt7", "too short for its transcript: 7 frames, at least 8 are needed"
    )
    assert isinstance(
        aligner.align("utt8", ["ab", "the"], scores_of("A A B B D D E E", TWO_STATES)), np.ndarray
    )


def test_an_empty_transcript_fails_and_an_unknown_word_is_an_error() -> None:
    aligner = Aligner(LEXICON, ONE_STATE, AlignmentConfig())
    assert aligner.align("u", [], scores_of("A")) == AlignmentFailure("u", "its transcript is empty")
    with pytest.raises(AlignmentError, match="no words to align"):
        transcript_graph([], LEXICON, ONE_STATE)
    with pytest.raises(LexiconError, match='word "zebra" is not in the lexicon'):
        aligner.align("u", ["zebra"], scores_of("A A"))


def test_scores_of_another_tree_are_refused() -> None:
    with pytest.raises(
        ModelError, match="utt1: scores do not fit the senone tree; expected 6 columns, got 5"
    ):
        Aligner(LEXICON, ONE_STATE, AlignmentConfig()).align("utt1", ["a"], np.zeros((9, 5), np.float32))


def test_scores_that_are_not_numbers_are_refused_by_name() -> None:
    scores = scores_of("A A A")
    scores[1, 4] = np.nan
    with pytest.raises(ModelError, match="utt1: scores hold NaN"):
        Aligner(LEXICON, ONE_STATE, AlignmentConfig()).align("utt1", ["a"], scores)


def test_pdfs_of_a_transcript_are_those_of_its_graph() -> None:
    # SIL, D, E and I with two states each but for silence: A and B are not asked for.
    assert transcript_pdf_ids(["the"], LEXICON, TWO_STATES).tolist() == [0, 5, 6, 7, 8, 9, 10]


def test_equal_alignment_shares_the_frames_and_keeps_the_order() -> None:
    for number in range(20):
        pdf_ids = align_equal(f"u{number}", ["ab", "a"], 40, LEXICON, TWO_STATES)
        assert pdf_ids is not None
        assert len(pdf_ids) == 40
        phones = [segment.phone for segment in segments(pdf_ids, TWO_STATES) if segment.phone != "SIL"]
        assert phones == ["A", "B", "A"]
        lengths = np.diff(np.flatnonzero(np.diff(pdf_ids, prepend=-1, append=-1)))
        assert lengths.max() - lengths.min() <= 1


def test_equal_alignment_varies_with_the_utterance_alone() -> None:
    def kinds(word: str) -> set[tuple[str, ...]]:
        found = set()
        for number in range(40):
            pdf_ids = align_equal(f"u{number}", [word], 30, LEXICON, ONE_STATE)
            assert pdf_ids is not None
            found.add(tuple(dict.fromkeys(phones_of(pdf_ids).split())))
            again = align_equal(f"u{number}", [word], 30, LEXICON, ONE_STATE)
            assert again is not None
            assert again.tolist() == pdf_ids.tolist()
        return found

    assert {("A",), ("SIL", "A"), ("A", "SIL")} <= kinds("a")
    assert {("D", "E"), ("D", "I")} <= kinds("the")


def test_equal_alignment_of_a_tight_utterance_takes_the_shortest_path() -> None:
    pdf_ids = align_equal("u", ["the", "ab"], 4, LEXICON, ONE_STATE)
    assert phones_of(pdf_ids) == "D E A B"
    assert align_equal("u", ["the", "ab"], 3, LEXICON, ONE_STATE) is None
