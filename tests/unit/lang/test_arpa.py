from __future__ import annotations

import gzip

import pytest

from asr_kd.errors import LanguageModelError
from asr_kd.lang.arpa import read_arpa, write_arpa
from asr_kd.lang.ngram import estimate_ngram

WORDS = ["a", "b", "c"]
TEXT = [line.split() for line in ("a b a c", "b a", "a b a c a", "c c b")]

SMALL = r"""made by hand
\data\
ngram 1=4
ngram 2=3

\1-grams:
-99	<s>	-0.3
-0.5	a	-0.2
-0.6	zebra	-0.1
-0.7	</s>

\2-grams:
-0.1	<s> a
-0.2 a zebra
-0.3	a </s>

\end\
"""


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("smoothing", ["witten_bell", "kneser_ney"])
def test_round_trip(tmp_path, order, smoothing):
    lm = estimate_ngram(TEXT, WORDS, order, smoothing)
    write_arpa(tmp_path / "lm.arpa", lm)
    reading = read_arpa(tmp_path / "lm.arpa", WORDS)
    assert (reading.num_dropped_words, reading.num_dropped_ngrams, reading.num_words_without_ngram) == (
        0,
        0,
        0,
    )
    assert reading.model.order == order
    for written, read in zip(lm.log_probs, reading.model.log_probs, strict=True):
        assert read == pytest.approx(written, abs=1e-7)
    assert reading.model.backoffs == pytest.approx(lm.backoffs, abs=1e-7)
    assert reading.model.fingerprint() == lm.fingerprint()


def test_values_by_hand(tmp_path):
    path = tmp_path / "lm.arpa"
    path.write_text(SMALL)
    lm = read_arpa(path).model
    assert lm.words == ("a", "zebra")
    assert lm.log_prob("a", ["<s>"]) == -0.1
    assert lm.log_prob("zebra", ["a"]) == -0.2
    assert lm.log_prob("a", ["zebra"]) == pytest.approx(-0.1 - 0.5)
    assert lm.log_prob("</s>", ["<s>"]) == pytest.approx(-0.3 - 0.7)


def test_words_outside_the_vocabulary_are_dropped_and_counted(tmp_path):
    path = tmp_path / "lm.arpa"
    path.write_text(SMALL)
    reading = read_arpa(path, ["a", "never", "seen"])
    assert reading.model.words == ("a",)
    assert reading.num_dropped_words == 1
    assert reading.num_dropped_ngrams == 2  # zebra, a zebra
    assert reading.num_words_without_ngram == 2


def test_gzip(tmp_path):
    path = tmp_path / "lm.arpa.gz"
    path.write_bytes(gzip.compress(SMALL.encode()))
    assert read_arpa(path).model.order == 2


def test_sentence_marks_out_of_place_are_dropped(tmp_path):
    path = tmp_path / "lm.arpa"
    path.write_text(SMALL.replace("-0.2 a zebra", "-0.2 </s> <s>"))
    reading = read_arpa(path)
    assert reading.num_dropped_ngrams == 1
    assert set(reading.model.log_probs[1]) == {("<s>", "a"), ("a", "</s>")}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\\data\\", "", r":17: not an ARPA file"),
        ("ngram 1=4\nngram 2=3\n", "", r":4: no n-gram counts"),
        ("ngram 2=3", "ngram 3=3", r":4: orders out of sequence; expected ngram 2=COUNT"),
        ("\\2-grams:", "\\3-grams:", r":12: section missing; expected \\2-grams:"),
        ("ngram 1=4", "ngram 1=5", r":12: wrong number of 1-grams; expected 5 as in the header, got 4"),
        ("ngram 2=3", "ngram 2=2", r":17: wrong number of 2-grams; expected 2 as in the header, got 3"),
        ("\\end\\\n", "", r":16: the language model does not end; expected \\end\\, got the end of the file"),
        ("-0.3	a </s>\n\n\\end\\\n", "", r":14: wrong number of 2-grams; expected 3 .*, got 2"),
        (
            "-0.5	a	-0.2",
            "-0.5	a	-0.2 x",
            r":8: malformed 1-gram; expected LOG10_PROB WORD \[LOG10_BACKOFF\]",
        ),
        ("-0.1	<s> a", "-0.1	<s>", r":13: malformed 2-gram; expected LOG10_PROB WORD WORD, got"),
        ("-0.1	<s> a", "-0.1	<s> a -0.3", r":13: malformed 2-gram"),
        ("-0.5	a", "x.5	a", r":8: not a number; got x.5"),
        ("-0.5	a	-0.2", "-0.5	a	nan", r":8: not a finite number; got nan"),
        ("-0.5	a", "0.5	a", r":8: a probability above 1"),
        ("-0.1	<s> a", "-0.1	<s> b", r':13: word "b" has no 1-gram'),
        ("-0.3	a </s>", "-0.3	<s> a", r":15: the 2-gram is there twice; got <s> a"),
    ],
)
def test_broken_files_name_the_line(tmp_path, old, new, message):
    assert old in SMALL
    path = tmp_path / "lm.arpa"
    path.write_text(SMALL.replace(old, new, 1))
    with pytest.raises(LanguageModelError, match=r"lm\.arpa" + message):
        read_arpa(path)


@pytest.mark.parametrize("content", [b"\xff\xfe\\data\\", b""])
def test_other_files(tmp_path, content):
    path = tmp_path / "lm.arpa"
    path.write_bytes(content)
    with pytest.raises(LanguageModelError, match="not an ARPA file"):
        read_arpa(path)


def test_damaged_gzip(tmp_path):
    path = tmp_path / "lm.arpa.gz"
    path.write_bytes(gzip.compress(SMALL.encode())[:-20])
    with pytest.raises(LanguageModelError, match="not an ARPA file"):
        read_arpa(path)


def test_missing_file(tmp_path):
    with pytest.raises(LanguageModelError, match="no such language model"):
        read_arpa(tmp_path / "lm.arpa")


def test_no_word_in_common(tmp_path):
    path = tmp_path / "lm.arpa"
    path.write_text(SMALL)
    with pytest.raises(LanguageModelError, match=r"no word .* is in the lexicon; got 2 other words"):
        read_arpa(path, ["A", "ZEBRA"])
