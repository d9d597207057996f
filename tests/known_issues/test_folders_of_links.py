"""Folders that are links were left out of a folder of audio, of TextGrids and of TIMIT; nothing was said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr_kd.align.alignment_files import read_textgrids
from asr_kd.data.audio_folder import read_audio_folder
from asr_kd.data.folders import files_below
from asr_kd.errors import AlignmentError
from data_prep import timit
from tests.support.original_layouts import make_timit


def _speaker(folder: Path) -> Path:
    folder.mkdir(parents=True)
    soundfile.write(folder / "a.wav", np.full(800, 0.1), 8000)
    (folder / "a.txt").write_text("ONE")
    return folder


def test_linked_speakers_are_read_and_links_to_a_folder_above_are_not(tmp_path: Path) -> None:
    audio = _speaker(tmp_path / "audio" / "s1").parent
    (audio / "s2").symlink_to(_speaker(tmp_path / "elsewhere" / "s2"))
    (audio / "s1" / "round").symlink_to(audio)
    (audio / "s1" / "itself").symlink_to(audio / "s1")
    rows = read_audio_folder(audio)
    assert [(row.utt_id, row.speaker) for row in rows] == [("s1-a", "s1"), ("s2-a", "s2")]


def test_links_that_point_at_each_other_end(tmp_path: Path) -> None:
    audio = _speaker(tmp_path / "audio" / "s1").parent
    _speaker(audio / "s2")
    (audio / "s1" / "other").symlink_to(audio / "s2")
    (audio / "s2" / "other").symlink_to(audio / "s1")
    names = [str(path.relative_to(audio)) for path in files_below(audio) if path.suffix == ".wav"]
    assert names == ["s1/a.wav", "s1/other/a.wav", "s2/a.wav", "s2/other/a.wav"]


def test_a_linked_speaker_of_timit_is_read(tmp_path: Path) -> None:
    corpus = make_timit(tmp_path)
    whole = timit.prepare(corpus, tmp_path / "whole", timit.Options())
    speaker = corpus / "TRAIN" / "DR1" / "MCPM0"
    speaker.rename(tmp_path / "moved")
    speaker.symlink_to(tmp_path / "moved")
    linked = timit.prepare(corpus, tmp_path / "linked", timit.Options())
    names = [[row.utt_id for row in each.splits["train"]] for each in (whole, linked)]
    assert names[0] == names[1]


def test_a_text_grid_of_a_linked_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "u1.TextGrid").write_text("nothing")
    (tmp_path / "grids").mkdir()
    (tmp_path / "grids" / "s1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AlignmentError, match=r"grids/s1/u1\.TextGrid: not a TextGrid"):
        list(read_textgrids(tmp_path / "grids", {"u1"}, "phones"))
