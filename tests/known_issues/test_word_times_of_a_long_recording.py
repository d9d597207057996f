"""Word times took memory and time of words x phones: gigabytes after half an hour of speech."""

from __future__ import annotations

from collections import Counter

import numpy as np

from asr_kd.align.word_times import times_in_alignment
from asr_kd.lang.hmm import HmmTopology, monophone_hmm
from asr_kd.lang.lexicon import Lexicon, Pronunciation
from asr_kd.lang.phones import PhoneSet
from tests.support.spoken_words import LEXICON

HMM = monophone_hmm(PhoneSet.from_lexicon(LEXICON), HmmTopology(2, 2))


class _Counting(dict[str, tuple[Pronunciation, ...]]):
    """Pronunciations that know how often they were asked for."""

    def __init__(self, pronunciations: dict[str, tuple[Pronunciation, ...]]) -> None:
        super().__init__(pronunciations)
        self.asked: Counter[str] = Counter()

    def __getitem__(self, word: str) -> tuple[Pronunciation, ...]:
        self.asked[word] += 1
        return super().__getitem__(word)


def test_take_steps_as_many_as_words() -> None:
    words = ("tea", "eat", "to", "sat") * 250
    phones = [phone for word in words for phone in LEXICON.pronunciations[word][0]]
    pdf_ids = np.array([HMM.pdf_ids(HMM.phone_set.phone_id(phone)) for phone in phones], dtype=np.int32)
    counting = _Counting(dict(LEXICON.pronunciations))
    times = times_in_alignment(words, pdf_ids.reshape(-1), Lexicon(counting), HMM)
    assert [each.word for each in times] == list(words)
    assert counting.asked.total() <= 4 * len(words)
