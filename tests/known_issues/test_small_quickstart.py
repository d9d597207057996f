"""``corpus.options.num_train`` at its least failed for many seeds: babble talkers alone said a word."""

from __future__ import annotations

import pytest

from data_prep.quickstart import Options, make_spec, split_voices
from data_prep.quickstart_sentences import said_first, vocabulary


def test_the_first_say_every_word() -> None:
    assert said_first(["a b", "b c", "a d"], 2) == ["a b", "b c", "a d"]  # no place is free
    assert said_first(["a b", "a", "b c"], 2) == ["a b", "b c", "a"]
    assert said_first(["a", "b", "a b"], 2) == ["a", "b", "a b"]


@pytest.mark.parametrize("seed", range(20))
def test_train_says_every_word(seed: int) -> None:
    options = Options(num_train=60, seed=seed)
    spec, _ = make_spec("train", options.num_train, split_voices()["train"], options)
    assert {word for prompt in spec.prompts for word in prompt.text.split()} == vocabulary()
