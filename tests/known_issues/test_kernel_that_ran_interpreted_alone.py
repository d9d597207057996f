"""A kernel ran interpreted and did not compile: annotations are for Triton to resolve, and it knew not ours."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

COMPILE = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from asr_kd.am.fused_cross_entropy import _compiled

flags = {"has_soft": %s, "has_tail": %s}
constants = {"num_senones": 14000, "block": 16384, "num_kept_block": 64, **flags}
signature = {
    "logits_ptr": "*bf16", "stride": "i32", "labels_ptr": "*i64", "probs_ptr": "*fp16", "ids_ptr": "*i16",
    "tail_ptr": "*fp16", "num_kept": "i32", "inverse_temperature": "fp32", "scales_ptr": "*fp32",
    "soft_ptr": "*fp32", "hard_ptr": "*fp32", **dict.fromkeys(constants, "constexpr"),
}
source = ASTSource(_compiled(), signature, constexprs=constants)
compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 16})
"""


@pytest.mark.parametrize(("has_soft", "has_tail"), [(True, True), (False, False)])
def test_it_compiles_for_a_gpu_that_is_not_there(has_soft, has_tail, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    run = subprocess.run(
        [sys.executable, "-c", COMPILE % (has_soft, has_tail)],
        env={**environment, "TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
