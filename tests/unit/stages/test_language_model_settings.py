from __future__ import annotations

import pytest

from asr_kd.errors import LanguageModelError
from asr_kd.lang.arpa import write_arpa
from asr_kd.lang.lexicon import Lexicon
from asr_kd.lang.ngram import estimate_ngram
from asr_kd.lang.prune import prune_ngram
from asr_kd.stages.language_model import LanguageModelConfig, language_model

LEXICON = Lexicon({"a": (("A",),), "b": (("B",),), "c": (("A", "B"),)})
TEXT = ["a b a c", "b a", "a b a c a", "c c b", "b c a b"]
SENTENCES = [line.split() for line in TEXT]


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "lm_text.txt"
    path.write_text("\n".join(TEXT))
    return path


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_a_users_file_of_any_order(order, tmp_path, text):
    estimated = estimate_ngram(SENTENCES, LEXICON.words, order)
    write_arpa(tmp_path / "own.arpa", estimated)
    model = language_model(LanguageModelConfig(arpa=tmp_path / "own.arpa"), text, LEXICON)
    assert model.order == order
    assert model.fingerprint() == estimated.fingerprint()


def test_words_without_a_pronunciation_are_left_out_and_said(tmp_path, text, capsys):
    write_arpa(tmp_path / "own.arpa", estimate_ngram([["a", "z", "a"], ["y"]], ["a", "y", "z"], 2))
    model = language_model(LanguageModelConfig(arpa=tmp_path / "own.arpa"), text, LEXICON)
    assert model.words == ("a",)
    said = " ".join(capsys.readouterr().err.split())
    # The 1-grams y and z, and all 2-grams but "<s> a" and "a </s>": "a z", "z a", "<s> y", "y </s>".
    assert "2 words have no pronunciation and were left out, with 6 n-grams" in said
    assert "2 words of the lexicon are not in it" in said


def test_a_broken_file_names_its_line(tmp_path, text):
    path = tmp_path / "own.arpa"
    path.write_text("\\data\\\nngram 1=2\n\n\\1-grams:\n-0.3\t</s>\n-x\ta\n\n\\end\\\n")
    with pytest.raises(LanguageModelError, match=r"own\.arpa:6: not a number; got -x"):
        language_model(LanguageModelConfig(arpa=path), text, LEXICON)


def test_a_missing_file_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(LanguageModelError, match=r"nowhere\.arpa: no such language model"):
        LanguageModelConfig(arpa=tmp_path / "nowhere.arpa").found(tmp_path)


def test_a_file_beside_the_recipe_is_found(tmp_path):
    (tmp_path / "own.arpa").write_text("")
    assert LanguageModelConfig(arpa="own.arpa").found(tmp_path).arpa == tmp_path / "own.arpa"


@pytest.mark.parametrize("from_file", [False, True])
def test_pruning(from_file, tmp_path, text, capsys):
    estimated = estimate_ngram(SENTENCES, LEXICON.words, 3)
    write_arpa(tmp_path / "own.arpa", estimated)
    arpa = tmp_path / "own.arpa" if from_file else None
    model = language_model(LanguageModelConfig(order=3, arpa=arpa, prune=1e-2), text, LEXICON)
    expected = prune_ngram(estimated, 1e-2)
    assert [set(log_probs) for log_probs in model.log_probs] == [set(each) for each in expected.log_probs]
    assert len(model.log_probs[2]) < len(estimated.log_probs[2])
    said = " ".join(capsys.readouterr().err.split())
    before, after = len(estimated.log_probs[2]), len(model.log_probs[2])
    assert f"pruned at 0.01: 5 1-grams, 13 2-grams, {before} 3-grams became" in said
    assert f"{after} 3-grams" in said


def test_the_content_of_the_file_belongs_to_the_settings(tmp_path):
    path = tmp_path / "own.arpa"
    path.write_text("one")
    before = LanguageModelConfig(arpa=path).identity()
    path.write_text("two")
    assert LanguageModelConfig(arpa=path).identity() != before


def test_settings_without_pruning_are_those_of_older_work_folders():
    assert LanguageModelConfig().identity() == {
        "order": 2,
        "smoothing": "witten_bell",
        "vocabulary": "text",
        "arpa": None,
    }
    assert LanguageModelConfig(prune=1e-8).identity()["prune"] == 1e-8
