"""A pruned model kept back-off weights of histories that it no longer had, which no ARPA file can hold.

Where the highest order went, the file that was written could not be read; where it stayed, the file was
another model than the graph's.
"""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from asr_kd.lang.arpa import read_arpa, write_arpa
from asr_kd.lang.ngram import NgramModel, estimate_ngram
from asr_kd.lang.prune import prune_ngram

WORDS = ["a", "b", "c"]


def _model_that_lacks_a_word(path: Path, order: int) -> NgramModel:
    drawn = random.Random(1)
    text = [[drawn.choice("abcd") for _ in range(drawn.randint(1, 6))] for _ in range(60)]
    write_arpa(path, estimate_ngram(text, "abcd", order))
    return read_arpa(path, WORDS).model


@pytest.mark.parametrize("order", [3, 4])
@pytest.mark.parametrize("threshold", [1e-3, 1e-2, 2e-2, 1e-1])
def test_is_the_model_of_its_file(tmp_path: Path, order: int, threshold: float) -> None:
    pruned = prune_ngram(_model_that_lacks_a_word(tmp_path / "whole.arpa", order), threshold)
    write_arpa(tmp_path / "pruned.arpa", pruned)
    stored = read_arpa(tmp_path / "pruned.arpa", WORDS).model
    assert pruned.backoffs.keys() == stored.backoffs.keys()
    for history in itertools.product(["<s>", *WORDS], *[WORDS] * (order - 2)):
        for word in (*WORDS, "</s>"):
            assert stored.log_prob(word, history) == pytest.approx(pruned.log_prob(word, history), abs=1e-5)


def test_kept_histories_keep_their_sums(tmp_path: Path) -> None:
    model = _model_that_lacks_a_word(tmp_path / "whole.arpa", 4)
    pruned = prune_ngram(model, 1e-3)
    histories = {ngram[:-1] for log_probs in pruned.log_probs[1:] for ngram in log_probs}
    assert len(histories) > 10
    for history in histories:
        old, new = (
            sum(10 ** lm.log_prob(word, history) for word in (*WORDS, "</s>")) for lm in (model, pruned)
        )
        assert new == pytest.approx(old, abs=1e-9)
