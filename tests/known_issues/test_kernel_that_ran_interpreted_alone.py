"""A kernel ran interpreted and did not compile: Triton resolves annotations by itself, and knew not ours."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton", reason="Triton is built for Linux on x86-64")

COMPILE = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from asr_kd.am.triton_kernels import compiled
from {module} import {function}

constants, pointers = {constants}, {pointers}
signature = {{**pointers, **dict.fromkeys(constants, "constexpr")}}
source = ASTSource(compiled({function}), signature, constexprs=constants)
compile(source, target=GPUTarget("cuda", 90, 32), options={{"num_warps": 16}})
"""
LOSS = {
    "logits_ptr": "*bf16",
    "stride": "i32",
    "labels_ptr": "*i64",
    "probs_ptr": "*fp16",
    "ids_ptr": "*i16",
    "tail_ptr": "*fp16",
    "num_kept": "i32",
    "inverse_temperature": "fp32",
    "soft_scale_ptr": "*fp32",
    "hard_scale_ptr": "*fp32",
    "soft_ptr": "*fp32",
    "hard_ptr": "*fp32",
}
MEAN = {
    "logits_ptr": "*bf16",
    "num_rows": "i32",
    "shares_ptr": "*fp32",
    "out_ptr": "*fp32",
    "inverse_temperature": "fp32",
}
SCALING = {"values_ptr": "*bf16", "scale_ptr": "*fp32", "num_values": "i32"}
SIZES = {"num_senones": 14000, "block": 16384}
STRIDES = {"soft_scale_stride": 0, "hard_scale_stride": 1}
CASES = [
    (
        "asr_kd.am.fused_cross_entropy",
        "_rows",
        LOSS,
        {**SIZES, **STRIDES, "num_kept_block": 64, "has_soft": True, "has_tail": True},
    ),
    (
        "asr_kd.am.fused_cross_entropy",
        "_rows",
        LOSS,
        {**SIZES, **STRIDES, "num_kept_block": 1, "has_soft": False, "has_tail": False},
    ),
    ("asr_kd.distill.fused_mean", "_rows", MEAN, {**SIZES, "num_nets": 10}),
    ("asr_kd.am.fused_cross_entropy", "_scaled", SCALING, {"block": 8192}),
]


@pytest.mark.parametrize(("module", "function", "pointers", "constants"), CASES)
def test_it_compiles_for_a_gpu_that_is_not_there(module, function, pointers, constants, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    program = COMPILE.format(module=module, function=function, pointers=pointers, constants=constants)
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
