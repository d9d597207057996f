"""What the align stage leaves for the others: HMM, pdf counts and facts about the alignment."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr_kd.data.frame_store import FRAMES_FILE, INDEX_FILE
from asr_kd.fingerprint import file_sha256, fingerprint
from asr_kd.lang.hmm import Hmm
from asr_kd.stages.base import WorkDir, require

HMM_FILE = "hmm.json"
GMM_FOLDER = "gmm"
TRANSFORM_FILE = "transform.json"
FACTS_FILE = "alignment.json"
FAILED_FILE = "failed.txt"


def read_hmm(work: WorkDir) -> Hmm:
    """Return the HMM whose states the alignment's pdf_ids are."""
    return Hmm.load(require(work.align / HMM_FILE, "align"))


def alignment_facts(work: WorkDir) -> dict[str, Any]:
    """Return pdf counts, the alignment's fingerprint, and by split what was aligned and what failed."""
    facts: dict[str, Any] = json.loads(require(work.align / FACTS_FILE, "align").read_text(encoding="utf-8"))
    return facts


def read_pdf_counts(work: WorkDir) -> NDArray[np.int64]:
    """Return the number of training frames of each pdf_id ``[S]``."""
    return np.asarray(alignment_facts(work)["pdf_counts"], dtype=np.int64)


def label_fingerprint(work: WorkDir) -> str:
    """Return the fingerprint of the training alignment's bytes."""
    return str(alignment_facts(work)["fingerprint"])


def alignment_fingerprint(work: WorkDir, split: str) -> str:
    """Return a fingerprint of a split's utterances and their pdf_ids."""
    return fingerprint([file_sha256(work.align / split / name) for name in (INDEX_FILE, FRAMES_FILE)])
