"""The lexicon as a transducer from phones to words (L), with disambiguation symbols."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import kaldifst

from asr_kd.lang.lexicon import Lexicon, Pronunciation
from asr_kd.lang.phones import PhoneSet

# Words hang between these two: after a word comes silence or not.
_LOOP = 1
_SILENCE = 2


@dataclass(frozen=True)
class LexiconFst:
    """L, closed over words, and the labels that were added to make it determinizable.

    Attributes:
        fst: ``StdVectorFst`` from phone ids and disambiguation symbols to word ids and ``backoff_word``.
        first_disambiguation: The smallest disambiguation symbol among the input labels: #0.
        backoff_word: The output label of #0, which the grammar has on its back-off arcs.
    """

    fst: Any
    first_disambiguation: int
    backoff_word: int


def lexicon_fst(
    lexicon: Lexicon, words: Sequence[str], phone_set: PhoneSet, silence_probability: float
) -> LexiconFst:
    """Return L over some words of the lexicon.

    Args:
        lexicon: Gives pronunciations and word ids.
        words: The words that L accepts.
        phone_set: Gives phone ids and the silence phone.
        silence_probability: Of silence at the start and after each word; 0 for no silence at all.

    Source: Kaldi ``add_lex_disambig.pl`` and ``make_lexicon_fst.py --sil-disambig``.
    """
    entries = disambiguated(lexicon, words)
    backoff_phone = len(phone_set) + 1  # #0; #k is backoff_phone + k
    backoff_word = len(lexicon.words) + 1
    last = max(symbol for _, _, symbol in entries)
    fst = kaldifst.StdVectorFst()
    for _ in range(3 if silence_probability > 0 else 2):
        fst.add_state()
    fst.start = 0
    fst.set_final(_LOOP, 0.0)
    targets = _add_silence(fst, phone_set.silence_id, backoff_phone + last + 1, silence_probability)
    for target, cost in targets:
        fst.add_arc(0, kaldifst.StdArc(0, 0, cost, target))
    for word, phones, symbol in entries:
        labels = [phone_set.phone_id(phone) for phone in phones]
        if symbol:
            labels.append(backoff_phone + symbol)
        _add_word(fst, labels, lexicon.word_id(word), targets)
    fst.add_arc(_LOOP, kaldifst.StdArc(backoff_phone, backoff_word, 0.0, _LOOP))
    return LexiconFst(fst, backoff_phone, backoff_word)


def disambiguated(lexicon: Lexicon, words: Sequence[str]) -> list[tuple[str, Pronunciation, int]]:
    """Return each word, pronunciation and the number of its disambiguation symbol, 0 where it needs none.

    A pronunciation needs one when it stands twice in the lexicon or begins another.
    """
    entries = [(word, phones) for word in words for phones in lexicon.pronunciations[word]]
    times = Counter(phones for _, phones in entries)
    beginnings = {phones[:length] for _, phones in entries for length in range(1, len(phones))}
    used: Counter[Pronunciation] = Counter()
    numbered = []
    for word, phones in entries:
        if times[phones] > 1 or phones in beginnings:
            used[phones] += 1
        numbered.append((word, phones, used[phones]))
    return numbered


def _add_silence(fst: Any, silence_id: int, symbol: int, probability: float) -> list[tuple[int, float]]:
    """Add optional silence; return where a word may end and the cost of each choice."""
    if probability == 0:
        return [(_LOOP, 0.0)]
    # The symbol tells silence between words from a word that is pronounced as silence.
    after_silence = fst.add_state()
    fst.add_arc(_SILENCE, kaldifst.StdArc(silence_id, 0, 0.0, after_silence))
    fst.add_arc(after_silence, kaldifst.StdArc(symbol, 0, 0.0, _LOOP))
    return [(_LOOP, -math.log(1 - probability)), (_SILENCE, -math.log(probability))]


def _add_word(fst: Any, labels: list[int], word_id: int, targets: list[tuple[int, float]]) -> None:
    """Add one pronunciation, the word on its first arc."""
    state, olabel = _LOOP, word_id
    for label in labels[:-1]:
        following = fst.add_state()
        fst.add_arc(state, kaldifst.StdArc(label, olabel, 0.0, following))
        state, olabel = following, 0
    for target, cost in targets:
        fst.add_arc(state, kaldifst.StdArc(labels[-1], olabel, cost, target))
