"""What all tests share: thread counts and the folder of real recordings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available():
    # Triton reads it when it is imported: kernels then run on the processor, step by step.
    os.environ.setdefault("TRITON_INTERPRET", "1")
# Tests run side by side, in processes of their own; so do the commands that they start.
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_THREADS = max(1, min(2, (os.cpu_count() or 1) // _PROCESSES))
torch.set_num_threads(_THREADS)
os.environ.setdefault("OMP_NUM_THREADS", str(_THREADS))

_REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real recordings (``ASR_KD_TEST_DATA``, else ../shared/data); skipped when it is missing."""
    folder = Path(os.environ.get("ASR_KD_TEST_DATA", _REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real recordings at {folder}; set ASR_KD_TEST_DATA to a copy")
    return folder
