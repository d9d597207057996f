"""`asr-kd tree --phone` with a phone that is not there ended with the advice to add it to the lexicon."""

from __future__ import annotations

import pytest

from asr_kd.errors import LexiconError
from asr_kd.lang.phones import PhoneSet
from asr_kd.lang.topology import HmmTopology
from asr_kd.lang.tree import MonophoneTree
from asr_kd.lang.tree_outline import phone_branches

PHONES = PhoneSet(("SIL", "AA", "B", "EY"))


@pytest.mark.parametrize(
    ("phone", "hint"),
    [
        ("AAA", "did you mean AA?"),
        ("b", "give one of them, in upper and lower case as it is there"),
        ("ZH", "give one of them, in upper and lower case as it is there"),
    ],
)
def test_names_the_phones_and_says_to_give_one(phone: str, hint: str) -> None:
    tree = MonophoneTree(PHONES, HmmTopology())
    with pytest.raises(LexiconError) as caught:
        phone_branches(tree, phone, [1] * tree.num_pdfs)
    said = f'phone "{phone}" is not in the phone set; expected one of SIL, AA, B, EY; {hint}'
    assert str(caught.value) == said


def test_a_lexicon_is_to_be_mended_where_it_is_the_cause() -> None:
    with pytest.raises(LexiconError, match="add it there or fix the lexicon entry"):
        PHONES.phone_id("ZH")
