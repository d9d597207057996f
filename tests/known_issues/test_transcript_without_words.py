"""A transcript without words had an endless cost, which is no JSON; a file without a frame had no line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asr_kd.cli.transcribe_command import _print_alternatives
from asr_kd.decode.word_lattice import Candidate, WordLattice
from asr_kd.lattice_recogniser import Transcription


@pytest.mark.parametrize("num_best", [1, 2, 3])
def test_has_its_cost(num_best: int) -> None:
    candidates = [Candidate((), 2.5), Candidate(("a",), 4.0)]
    assert WordLattice.of_candidates(candidates[:1]).nbest(num_best) == candidates[:1]
    assert WordLattice.of_candidates(candidates).nbest(num_best) == candidates[:num_best]


def test_a_file_without_a_frame_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = Transcription([], [])
    _print_alternatives(Path("a.wav"), nothing, as_json=True, with_cost=False, with_path=False)
    assert json.loads(capsys.readouterr().out) == {
        "audio": "a.wav",
        "rank": 1,
        "text": "",
        "cost": None,
        "lm_cost": None,
        "confidences": [],
    }
    _print_alternatives(Path("a.wav"), nothing, as_json=False, with_cost=True, with_path=True)
    assert capsys.readouterr().out == "a.wav: 1\t-\t\n"
