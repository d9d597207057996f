"""Small lexicons with what makes decoding graphs hard, and sentences over them."""

from __future__ import annotations

from asr_kd.lang.lexicon import Lexicon

LEXICONS = {
    "homophones": {"two": ("T U",), "too": ("T U",), "a": ("A",)},
    "several pronunciations": {"the": ("D A", "D I"), "a": ("A", "I"), "i": ("I",)},
    "prefixes": {"a": ("A",), "b": ("B",), "ab": ("A B",), "abc": ("A B A",)},
    "repeated phones": {"a": ("A",), "aa": ("A A",), "aaa": ("A A A", "A")},
    "word of silence": {"<noise>": ("SIL",), "a": ("A",), "sa": ("SIL A",)},
}
TEXTS = {
    "homophones": ["two a two", "too a", "a two", "too", "a a too two"],
    "several pronunciations": ["the a", "i the", "a i a", "the i"],
    "prefixes": ["a b", "ab", "abc a", "a b abc", "ab b", "b a"],
    "repeated phones": ["a aa", "aaa", "aa a a", "a aaa"],
    "word of silence": ["a <noise> a", "<noise>", "sa a", "a sa"],
}


def make_lexicon(entries: dict[str, tuple[str, ...]]) -> Lexicon:
    return Lexicon({word: tuple(tuple(p.split()) for p in found) for word, found in entries.items()})
