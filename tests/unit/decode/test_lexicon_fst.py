from __future__ import annotations

from asr_kd.decode.lexicon_fst import disambiguated, lexicon_fst
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.phones import PhoneSet

LEXICON = Lexicon(
    {
        "too": (("T", "U"),),
        "tool": (("T", "U", "L"),),
        "two": (("T", "U"),),
        "you": (("J", "U"), ("J", "A")),
    }
)


def test_disambiguation_symbols_by_hand():
    """Homophones are numbered; their phones also begin "tool"; "you" needs no symbol."""
    assert disambiguated(LEXICON, LEXICON.words) == [
        ("too", ("T", "U"), 1),
        ("tool", ("T", "U", "L"), 0),
        ("two", ("T", "U"), 2),
        ("you", ("J", "U"), 0),
        ("you", ("J", "A"), 0),
    ]


def test_only_the_given_words_count():
    assert disambiguated(LEXICON, ["two", "you"])[0] == ("two", ("T", "U"), 0)
    assert disambiguated(LEXICON, ["too", "tool"])[0] == ("too", ("T", "U"), 1)


def test_labels_lie_above_phones_and_words():
    phone_set = PhoneSet.from_lexicon(LEXICON)  # SIL A J L T U
    lex = lexicon_fst(LEXICON, LEXICON.words, phone_set, 0.5)
    assert (lex.first_disambiguation, lex.backoff_word) == (7, 5)
    lines = [line.split() for line in str(lex.fst).strip().splitlines()]
    arcs = [tuple(int(field) for field in line[:4]) for line in lines if len(line) >= 4]
    # #0 loops where words begin; #1 and #2 tell "too" and "two"; #3 comes after optional silence.
    assert {(ilabel, olabel) for _, _, ilabel, olabel in arcs if ilabel >= 7} == {
        (7, 5),
        (8, 0),
        (9, 0),
        (10, 0),
    }


def test_without_silence_there_is_no_silence_phone():
    phone_set = PhoneSet.from_lexicon(LEXICON)
    lines = str(lexicon_fst(LEXICON, LEXICON.words, phone_set, 0.0).fst).strip().splitlines()
    assert all(line.split()[2] != "1" for line in lines if len(line.split()) >= 4)
