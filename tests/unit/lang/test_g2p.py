from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

from asr_kd.errors import LexiconError
from asr_kd.lang.g2p import pronounce
from asr_kd.lang.lexicon import Lexicon, read_lexicon

needs_phonetisaurus = pytest.mark.skipif(
    find_spec("phonetisaurus") is None, reason="phonetisaurus is not installed (extra g2p)"
)

SMALL = Lexicon({"bit": (("B", "IH", "T"),)})


@needs_phonetisaurus
def test_english(shared_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lexicon = read_lexicon(shared_data / "speechocean762/resource/lexicon.txt", strip_stress=True)
    held_out = lexicon.words[::100]
    known = Lexicon({word: found for word, found in lexicon.pronunciations.items() if word not in held_out})
    spelt = [word for word in held_out if word.isalpha()]
    found = pronounce(spelt, known)
    assert set(found) == set(spelt)
    assert {phone for phones in found.values() for phone in phones} <= set(known.phones)
    right = [word for word in spelt if found[word] in lexicon.pronunciations[word]]
    # English spelling is anything but regular, and 2,800 words are few.
    assert len(right) >= 0.3 * len(spelt)
    assert list(tmp_path.iterdir()) == [], "nothing is written where it runs"


@needs_phonetisaurus
def test_a_lexicon_that_is_too_small_to_learn_from_is_refused():
    with pytest.raises(LexiconError, match=r"phonetisaurus-train failed: .*is the lexicon large enough"):
        pronounce(["tib"], SMALL)


def test_no_words_need_no_model():
    assert pronounce([], SMALL) == {}


def test_letters_that_are_not_in_the_lexicon_are_refused():
    with pytest.raises(LexiconError, match=r'1 words have letters that no word of the lexicon has: "b17"'):
        pronounce(["bit", "b17"], SMALL)


def test_the_extra_is_named_when_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "phonetisaurus", None)
    with pytest.raises(LexiconError, match=r"pip install 'asr-kd\[g2p\]'"):
        pronounce(["bit"], SMALL)
