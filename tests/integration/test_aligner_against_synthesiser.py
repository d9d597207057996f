"""The flat-start aligner against the synthesiser, which knows when each phone begins."""

from __future__ import annotations

import numpy as np
import pytest

from asr_kd.align.flat_start import FlatStartConfig
from asr_kd.stages.base import WorkDir
from tests.support.phone_boundaries import BoundaryErrors, align_quickstart, boundary_errors

NUM_TRAIN = 200
FLAT_START = FlatStartConfig(
    num_iterations=14,
    realign_iterations=(1, 2, 3, 4, 5, 6, 8, 10, 12, 14),
    total_gaussians=400,
    last_mixing_iteration=10,
)


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> BoundaryErrors:
    work = WorkDir(tmp_path_factory.mktemp("quickstart"))
    align_quickstart(work, NUM_TRAIN, FLAT_START)
    return boundary_errors(work)


def test_phone_starts_are_where_the_synthesiser_put_them(errors: BoundaryErrors) -> None:
    print(errors.summary())
    milliseconds = 1000 * np.abs(errors.seconds)
    assert len(milliseconds) > 1000
    assert milliseconds.mean() < 25
    assert np.median(milliseconds) < 15


def test_aligner_mostly_chooses_the_spoken_pronunciation(errors: BoundaryErrors) -> None:
    assert errors.num_utterances == NUM_TRAIN
    assert errors.num_other < NUM_TRAIN / 2
