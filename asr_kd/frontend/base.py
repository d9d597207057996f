"""Frontends: the protocol, loading one by its name and computing features with it."""

from asr_kd.frontend.compute import Recording, compute_batch, compute_features
from asr_kd.frontend.loading import BUILT_IN, load_frontend
from asr_kd.frontend.protocol import (
    BatchFrontend,
    Features,
    Frontend,
    FrontendSpec,
    Resampler,
    Samples,
    check_input,
    frontend_fingerprint,
)

__all__ = [
    "BUILT_IN",
    "BatchFrontend",
    "Features",
    "Frontend",
    "FrontendSpec",
    "Recording",
    "Resampler",
    "Samples",
    "check_input",
    "compute_batch",
    "compute_features",
    "frontend_fingerprint",
    "load_frontend",
]
