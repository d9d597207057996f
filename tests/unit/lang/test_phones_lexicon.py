"""Phone set and lexicon: ids, files and errors with their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.errors import LexiconError
from asr_kd.lang.lexicon import Lexicon, read_lexicon, write_lexicon
from asr_kd.lang.phones import PhoneSet


@pytest.fixture
def lexicon() -> Lexicon:
    return Lexicon({"b": (("B", "IY"),), "a": (("EY",), ("AH",))})


def test_phone_ids_count_from_one_with_silence_first(lexicon: Lexicon) -> None:
    phones = PhoneSet.from_lexicon(lexicon)
    assert phones.phones == ("SIL", "AH", "B", "EY", "IY")
    assert [phones.phone_id(phone) for phone in phones.phones] == [1, 2, 3, 4, 5]
    assert phones.phone(3) == "B"
    assert PhoneSet.from_json(phones.to_json()) == phones


def test_silence_of_the_lexicon_is_not_doubled() -> None:
    phones = PhoneSet.from_lexicon(Lexicon({"<noise>": (("SIL",),), "a": (("AH",),)}))
    assert phones.phones == ("SIL", "AH")


def test_unknown_phone_is_named(lexicon: Lexicon) -> None:
    with pytest.raises(LexiconError, match=r'phone "AXR" is not in the phone set; expected one of SIL, AH'):
        PhoneSet.from_lexicon(lexicon).phone_id("AXR")


@pytest.mark.parametrize("phones", [("AH", "SIL"), (), ("SIL", "AH", "AH")])
def test_malformed_phone_sets_are_refused(phones: tuple[str, ...]) -> None:
    with pytest.raises(LexiconError):
        PhoneSet(phones)


def test_words_are_sorted_and_count_from_one(lexicon: Lexicon) -> None:
    assert lexicon.words == ("a", "b")
    assert lexicon.word_id("a") == 1
    assert lexicon.word(2) == "b"
    assert lexicon.phones == ("AH", "B", "EY", "IY")
    assert "a" in lexicon
    assert len(lexicon) == 2


def test_repeated_words_are_alternatives_and_duplicates_merge(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_text("READ\tR IY1 D\nREAD R EH1 D\n\nA AH0\nREAD R EH1 D\n", encoding="utf-8")
    assert read_lexicon(path).pronunciations == {
        "READ": (("R", "IY1", "D"), ("R", "EH1", "D")),
        "A": (("AH0",),),
    }


def test_strip_stress_merges_what_becomes_equal(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_text("THE DH AH0\nTHE DH AH1\nTHE DH IY0\nTWO 2\n", encoding="utf-8")
    lexicon = read_lexicon(path, strip_stress=True)
    assert lexicon.pronunciations["THE"] == (("DH", "AH"), ("DH", "IY"))
    assert lexicon.pronunciations["TWO"] == (("2",),)


def test_write_and_read_give_the_same(tmp_path: Path, lexicon: Lexicon) -> None:
    write_lexicon(tmp_path / "lexicon.txt", lexicon)
    assert (tmp_path / "lexicon.txt").read_text(encoding="utf-8") == "a\tEY\na\tAH\nb\tB IY\n"
    assert read_lexicon(tmp_path / "lexicon.txt") == lexicon


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A AH\n\nB\n", r'lexicon.txt:3: word "B" has no phones'),
        ("A AH\nB #1 AH\n", r'lexicon.txt:2: "#1" is reserved'),
        ("<eps> AH\n", r'lexicon.txt:1: "<eps>" is reserved'),
        ("A AH\nB AXR\n", r'lexicon.txt:2: phone "AXR" is not in the phone set'),
        ("\n \n", "the lexicon is empty"),
    ],
)
def test_malformed_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LexiconError, match=message):
        read_lexicon(path, phone_set=PhoneSet(("SIL", "AH")))


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LexiconError, match="no such lexicon"):
        read_lexicon(tmp_path / "none.txt")
    (tmp_path / "binary.txt").write_bytes(b"A AH\nB \xff\xfe\n")
    with pytest.raises(LexiconError, match="not UTF-8"):
        read_lexicon(tmp_path / "binary.txt")


def test_unknown_words_are_named_with_their_place(lexicon: Lexicon) -> None:
    lexicon.check_words(["a", "b", "a"], "train.jsonl")
    assert lexicon.missing(["z", "a", "y", "z"]) == ["y", "z"]
    with pytest.raises(LexiconError, match=r'train.jsonl: words are not in the lexicon: "y", "z"'):
        lexicon.check_words(["z", "a", "y"], "train.jsonl")
    with pytest.raises(LexiconError, match='word "z" is not in the lexicon'):
        lexicon.word_id("z")


def test_a_real_lexicon_is_read_whole(shared_data: Path) -> None:
    path = shared_data / "speechocean762" / "resource" / "lexicon.txt"
    lexicon = read_lexicon(path, strip_stress=True)
    assert lexicon.pronunciations["A"] == (("AH",), ("EY",))
    assert len(lexicon.phones) == 39
