from __future__ import annotations

import numpy as np
import pytest

from asr_kd.align.viterbi import Aligner, AlignmentConfig
from asr_kd.align.word_times import WordTime, times_in_alignment, word_times
from asr_kd.errors import AlignmentError
from asr_kd.lang.hmm import HmmTopology, monophone_hmm
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.phones import PhoneSet
from tests.support.spoken_words import LEXICON

HMM = monophone_hmm(PhoneSet.from_lexicon(LEXICON), HmmTopology(2, 2))


def frames(text: str) -> np.ndarray:
    """``"T3 I2"``: three frames of T, two of I; only the first frame is in the first state."""
    pdf_ids: list[int] = []
    for entry in text.split():
        phone, number = entry.rstrip("0123456789"), int(entry.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        first, second = HMM.pdf_ids(HMM.phone_set.phone_id(phone))
        pdf_ids += [first] + [second] * (number - 1)
    return np.array(pdf_ids, dtype=np.int32)


def test_silence_belongs_to_no_word():
    found = times_in_alignment(("tea", "eat"), frames("SIL4 T2 I3 SIL2 I2 T5 SIL9"), LEXICON, HMM)
    assert found == [WordTime("tea", 4, 5), WordTime("eat", 11, 7)]


def test_a_phone_that_follows_itself():
    found = times_in_alignment(("tea", "eat", "to"), frames("T2 I2 I3 T2 T4 A2"), LEXICON, HMM)
    assert found == [WordTime("tea", 0, 4), WordTime("eat", 4, 5), WordTime("to", 9, 6)]


def test_words_that_contain_silence_and_begin_one_another():
    lexicon = Lexicon({"a": (("A",),), "ab": (("A", "SIL", "B"), ("A", "B")), "b": (("B",),)})
    hmm = monophone_hmm(PhoneSet.from_lexicon(lexicon), HmmTopology(2, 2))
    phones = ["A", "SIL", "B", "A", "B"]
    pdf_ids = np.concatenate([hmm.pdf_ids(hmm.phone_set.phone_id(phone)) for phone in phones])
    assert times_in_alignment(("ab", "a", "b"), pdf_ids, lexicon, hmm) == [
        WordTime("ab", 0, 6),
        WordTime("a", 6, 2),
        WordTime("b", 8, 2),
    ]


def test_another_alignment_is_refused():
    with pytest.raises(
        AlignmentError, match="u1: the alignment's phones are not those of its words; got T I"
    ):
        times_in_alignment(("sue",), frames("T2 I2"), LEXICON, HMM, "u1")


def test_times_from_scores():
    pdf_ids = frames("SIL5 S4 A3 T6 SIL3 S3 U7 SIL4")
    scores = np.full((len(pdf_ids), HMM.num_pdfs), -20, np.float32)
    scores[np.arange(len(pdf_ids)), pdf_ids] = 0
    aligner = Aligner(LEXICON, HMM, AlignmentConfig())
    assert word_times(aligner, "u", ("sat", "sue"), scores) == [
        WordTime("sat", 5, 13),
        WordTime("sue", 21, 10),
    ]
    assert word_times(aligner, "u", (), scores) == []
    with pytest.raises(AlignmentError, match="u: no word times: too short for its transcript"):
        word_times(aligner, "u", ("sat",), scores[:3])
