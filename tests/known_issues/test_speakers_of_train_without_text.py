"""Audio without text of train's own speakers was refused; what allowed it let test have them too."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr_kd.errors import CorpusError
from data_prep.kaldi import Options, prepare
from tests.support.kaldi_corpus import make_kaldi_corpus, write_lines


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return make_kaldi_corpus(tmp_path / "s5", utterances=2)


def _transfer(data: Path, speaker: str, utt_id: str = "more") -> Options:
    """Return options for which a speaker says one thing without text."""
    write_lines(data / "unlabelled" / "wav.scp", f"{utt_id} wav/{speaker}.flac")
    write_lines(data / "unlabelled" / "utt2spk", f"{utt_id} {speaker}")
    return Options(transfer="unlabelled")


def test_train_and_transfer_may_share_them(tmp_path: Path, data: Path) -> None:
    prepared = prepare(data, tmp_path / "out", _transfer(data, "s1"))
    assert [(row.speaker, row.text) for row in prepared.splits["transfer"]] == [("s1", None)]
    assert "s1" in {row.speaker for row in prepared.splits["train"]}
    assert prepared.summary["speakers_disjoint"] is True


@pytest.mark.parametrize(("speaker", "split"), [("s5", "dev"), ("s6", "test")])
def test_transfer_shares_none_with_dev_or_test(tmp_path: Path, data: Path, speaker: str, split: str) -> None:
    with pytest.raises(CorpusError, match=rf'speaker "{speaker}" is in .* got {split} and transfer; leave'):
        prepare(data, tmp_path / "out", _transfer(data, speaker))


def test_a_speaker_in_all_is_refused_and_the_message_says_what_allows_it(tmp_path: Path, data: Path) -> None:
    write_lines(data / "test" / "utt2spk", *(f"s{k}-0{n} s1" for k in (6, 7) for n in (0, 1)))
    options = _transfer(data, "s1")
    with pytest.raises(CorpusError, match=r"got train and test; .*corpus\.options\.speakers_disjoint=false"):
        prepare(data, tmp_path / "out", options)
    allowed = {**options.model_dump(), "speakers_disjoint": False}
    assert prepare(data, tmp_path / "out", Options(**allowed)).summary["speakers_disjoint"] is False


def test_an_utterance_of_train_is_not_heard_again_as_transfer(tmp_path: Path, data: Path) -> None:
    with pytest.raises(CorpusError, match=r'utt_id "s1-00" is in two splits.* got train and transfer'):
        prepare(data, tmp_path / "out", _transfer(data, "s1", "s1-00"))
