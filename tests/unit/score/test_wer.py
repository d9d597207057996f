"""Word error rates worked out by hand."""

from __future__ import annotations

import random

import pytest

from asr_kd.errors import ScoringError
from asr_kd.score.wer import alignment_text, kaldi_line, score, score_by_group, worst_first

REFERENCES = {
    "u1": "the cat sat on the mat",  # 6 words
    "u2": "one two three",  # 3 words
    "u3": "yes",  # 1 word
}
HYPOTHESES = {
    "u1": "the dog sat on mat",  # cat -> dog, one "the" lost
    "u2": "one two two three four",  # "two" and "four" added
    "u3": "",  # lost
}


def test_counts_of_a_small_set_by_hand() -> None:
    result = score(REFERENCES, HYPOTHESES)
    assert (result.substitutions, result.deletions, result.insertions) == (1, 2, 2)
    assert (result.num_reference_words, result.hits, result.num_errors) == (10, 7, 5)
    assert result.wer == pytest.approx(0.5)
    by_id = {utt.utt_id: utt for utt in result.utterances}
    assert (by_id["u1"].substitutions, by_id["u1"].deletions, by_id["u1"].insertions) == (1, 1, 0)
    assert (by_id["u2"].substitutions, by_id["u2"].deletions, by_id["u2"].insertions) == (0, 0, 2)


def test_corpus_rate_is_not_the_mean_over_utterances() -> None:
    result = score({"long": "a b c d e f g h i", "short": "x"}, {"long": "a b c d e f g h i", "short": "y"})
    assert result.wer == pytest.approx(1 / 10)  # the mean over utterances would be 1 / 2


def test_empty_hypothesis_counts_as_deletions() -> None:
    result = score({"u": "a b c", "v": "d"}, {"u": "", "v": "d"})
    assert (result.deletions, result.num_reference_words) == (3, 4)
    assert result.utterances[0].hypothesis == ""


def test_every_hypothesis_empty_is_a_rate_of_one() -> None:
    assert score({"u": "a b", "v": "i"}, {"u": " ", "v": ""}).wer == 1.0


def test_insertions_alone_may_exceed_one() -> None:
    result = score({"u": "a"}, {"u": "b a c d"})
    assert (result.substitutions, result.deletions, result.insertions) == (0, 0, 3)
    assert result.wer == pytest.approx(3.0)


def test_words_are_split_at_any_white_space_and_compared_as_written() -> None:
    assert score({"u": "a\tb  c"}, {"u": " a b\u00a0c "}).num_errors == 0
    assert score({"u": "Yes"}, {"u": "yes"}).substitutions == 1


def test_hypotheses_are_joined_by_utt_id_not_by_order() -> None:
    assert score({"u1": "a", "u2": "b"}, {"u2": "b", "u1": "a"}).num_errors == 0


def test_missing_hypothesis_is_refused_or_counted() -> None:
    with pytest.raises(ScoringError, match=r"1 of 3 references have no hypothesis.*u2"):
        score(REFERENCES, {"u1": "x", "u3": "y"})
    result = score(REFERENCES, {"u1": REFERENCES["u1"], "u3": "yes"}, missing_as_empty=True)
    assert (result.deletions, result.num_errors) == (3, 3)


def test_extra_hypothesis_references_without_a_word_and_empty_set_are_refused() -> None:
    with pytest.raises(ScoringError, match=r"1 hypotheses have no reference.*u9"):
        score({"u1": "a"}, {"u1": "a", "u9": "b"})
    with pytest.raises(ScoringError, match="2 references hold no word"):
        score({"u1": "", "u7": " "}, {"u1": "a", "u7": "b"})
    with pytest.raises(ScoringError, match="no references"):
        score({}, {})


def test_kaldi_line() -> None:
    # 93 words replaced in one utterance, 20 lost in another, 10 added in a third: 1000 words in all.
    references = {"replaced": "a " * 900, "lost": "b " * 60, "added": "c " * 40}
    hypotheses = {"replaced": "a " * 807 + "x " * 93, "lost": "b " * 40, "added": "c " * 50}
    result = score(references, hypotheses)
    assert kaldi_line(result) == "%WER 12.3 [ 123 / 1000, 10 ins, 20 del, 93 sub ]"


def test_alignment_text_by_hand() -> None:
    result = score({"u": "the cat sat on it and so"}, {"u": "the horse sat it and so now"})
    expected = "\n".join(
        [
            "REF: the cat   sat on  it and so ***",
            "HYP: the horse sat *** it and so now",
            "OPS:     S         D             I",
        ]
    )
    assert alignment_text(result.utterances[0]) == expected


def test_alignment_text_keeps_columns_under_wide_letters() -> None:
    result = score({"u": "日本 a b"}, {"u": "日本 a c"})
    assert alignment_text(result.utterances[0]).splitlines()[2] == "OPS:        S"


def test_worst_first_by_errors_then_rate() -> None:
    references = {"ok": "a", "one_of_four": "a b c d", "one_of_two": "a b", "two": "a b c d e f"}
    hypotheses = {"ok": "a", "one_of_four": "a b c", "one_of_two": "b", "two": "a b c d"}
    result = score(references, hypotheses)
    assert [utt.utt_id for utt in worst_first(result)] == ["two", "one_of_two", "one_of_four", "ok"]
    assert [utt.utt_id for utt in worst_first(result, limit=1)] == ["two"]


def test_score_by_group() -> None:
    groups = score_by_group(score(REFERENCES, HYPOTHESES), {"u1": "ann", "u2": "bob", "u3": "ann"})
    assert list(groups) == ["ann", "bob"]
    assert groups["ann"].wer == pytest.approx(3 / 7)
    assert groups["bob"].wer == pytest.approx(2 / 3)
    with pytest.raises(ScoringError, match="u2"):
        score_by_group(score(REFERENCES, HYPOTHESES), {"u1": "ann", "u3": "ann"})


def _edit_distance(reference: list[str], hypothesis: list[str]) -> int:
    row = list(range(len(hypothesis) + 1))
    for i, said in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, heard in enumerate(hypothesis, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (said != heard))
    return row[-1]


def test_random_strings_agree_with_the_textbook_recursion() -> None:
    rng = random.Random(7)
    references, hypotheses, distances = {}, {}, {}
    for index in range(300):
        reference = [rng.choice("abcd") for _ in range(rng.randint(1, 9))]
        hypothesis = [rng.choice("abcd") for _ in range(rng.randint(0, 9))]
        utt_id = f"utt{index}"
        references[utt_id], hypotheses[utt_id] = " ".join(reference), " ".join(hypothesis)
        distances[utt_id] = _edit_distance(reference, hypothesis)
    result = score(references, hypotheses)
    assert any(not text for text in hypotheses.values())
    for utt in result.utterances:
        assert utt.num_errors == distances[utt.utt_id]
        assert [pair.reference for pair in utt.pairs if pair.reference] == utt.reference.split()
        assert [pair.hypothesis for pair in utt.pairs if pair.hypothesis] == utt.hypothesis.split()
        assert utt.hits + utt.substitutions + utt.insertions == len(utt.hypothesis.split())
    assert result.num_errors == sum(distances.values())
