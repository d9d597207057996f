"""Compute features through a guarded entry: the rate, the number of frames and the values are checked."""

from __future__ import annotations

import math
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from asr_kd.errors import FrontendError
from asr_kd.frontend.protocol import (
    BatchFrontend,
    Features,
    Frontend,
    FrontendSpec,
    Resampler,
    Samples,
    check_input,
    describe_array,
    frontend_name,
)
from asr_kd.units import num_frames, samples_per_shift


def compute_features(
    frontend: Frontend,
    samples: Samples,
    sampling_rate: int,
    resampler: Resampler | None = None,
    where: str | None = None,
) -> Features:
    """Return one recording's features, resampled before and checked after.

    Args:
        frontend: Built in or the user's own.
        samples: Mono, float32 ``[N]``.
        sampling_rate: Of ``samples``, in Hz.
        resampler: Brings samples to the frontend's rate; may be left out where the rates agree.
        where: The utt_id, for messages.

    Returns:
        Finite float32 ``[T, D]``; T follows from the recording as it was given, before resampling.

    Raises:
        FrontendError: The frontend fails or breaks its contract, naming what was expected and got.
    """
    spec = frontend.spec
    prepared, expected = prepare_samples(spec, samples, sampling_rate, resampler, where)
    features = run_extract(frontend, prepared, where)
    verify_features(features, spec, expected, frontend_name(frontend), where)
    return features


@dataclass(frozen=True)
class Recording:
    """Samples to compute features of.

    Attributes:
        samples: Mono, float32 ``[N]``.
        sampling_rate: In Hz.
        where: The utt_id, for messages.
    """

    samples: Samples
    sampling_rate: int
    where: str | None = None


def compute_batch(
    frontend: Frontend, recordings: Sequence[Recording], resampler: Resampler | None = None
) -> list[Features]:
    """Return the features of several recordings, each as :func:`compute_features` returns it.

    Args:
        frontend: Built in or the user's own; one with ``extract_batch`` gets all recordings at once.
        recordings: Of any rates.
        resampler: Brings samples to the frontend's rate; may be left out where the rates agree.

    Raises:
        FrontendError: The frontend fails or breaks its contract, naming the recording.
    """
    spec = frontend.spec
    prepared = [
        prepare_samples(spec, each.samples, each.sampling_rate, resampler, each.where) for each in recordings
    ]
    places = [each.where for each in recordings]
    batch = run_extract_batch(frontend, [samples for samples, _ in prepared], places)
    for features, (_, expected), where in zip(batch, prepared, places, strict=True):
        verify_features(features, spec, expected, frontend_name(frontend), where)
    return batch


def prepare_samples(
    spec: FrontendSpec,
    samples: Samples,
    sampling_rate: int,
    resampler: Resampler | None,
    where: str | None = None,
) -> tuple[Samples, int]:
    """Return samples at the frontend's rate and the number of frames T of the original recording.

    Resampling rounds the length, and near the edge of a frame the rounded length has one frame more
    or less; zeros are added or samples cut off at the end until it has T.
    """
    expected = num_frames(len(samples), sampling_rate, spec.frame_shift)
    if sampling_rate != spec.sampling_rate:
        if resampler is None:
            raise FrontendError(
                "audio of another sampling rate than the frontend's, and no resampler was given",
                where=where,
                expected=f"{spec.sampling_rate} Hz",
                got=f"{sampling_rate} Hz",
            )
        samples = _fit_length(resampler(samples, sampling_rate, spec.sampling_rate), spec, expected)
    check_input(spec, samples, spec.sampling_rate)
    if not np.isfinite(samples).all():
        raise FrontendError("samples are not finite (NaN or infinite)", where=where)
    return np.ascontiguousarray(samples), expected


def _fit_length(samples: Samples, spec: FrontendSpec, expected: int) -> Samples:
    shift = samples_per_shift(spec.sampling_rate, spec.frame_shift)
    shortest = max(0, math.ceil(Fraction(2 * expected - 1, 2) * shift))
    longest = math.ceil(Fraction(2 * expected + 1, 2) * shift) - 1
    if len(samples) < shortest:
        return np.pad(samples, (0, shortest - len(samples)))
    return samples[:longest]


def run_extract(frontend: Frontend, samples: Samples, where: str | None = None) -> Features:
    """Call ``extract``; whatever it raises becomes a FrontendError with the line of the user's code."""
    try:
        return frontend.extract(samples, frontend.spec.sampling_rate)
    except FrontendError:
        raise
    except Exception as error:
        raise _failure(frontend, error, where) from error


def _failure(frontend: Frontend, error: Exception, where: str | None) -> FrontendError:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return FrontendError(
        f"frontend {frontend_name(frontend)} failed",
        where=where,
        got=f"{type(error).__name__}: {error} (in {Path(last.filename).name}:{last.lineno})",
        hint="asr-kd check-frontend shows which signals it cannot take",
    )


def run_extract_batch(
    frontend: Frontend, batch: Sequence[Samples], places: Sequence[str | None]
) -> list[Features]:
    """Call ``extract_batch``, or ``extract`` for each recording where there is none or it fails.

    So that a failure names the recording; what ``extract_batch`` alone cannot do is not forgiven.
    """
    if not isinstance(frontend, BatchFrontend):
        return [run_extract(frontend, samples, where) for samples, where in zip(batch, places, strict=True)]
    try:
        features = list(frontend.extract_batch(batch, frontend.spec.sampling_rate))
    except Exception as error:
        for samples, where in zip(batch, places, strict=True):
            run_extract(frontend, samples, where)
        raise _failure(frontend, error, None) from error
    if len(features) != len(batch):
        raise FrontendError(
            f"extract_batch of {frontend_name(frontend)} returned the wrong number of recordings",
            expected=len(batch),
            got=len(features),
        )
    return features


def verify_features(
    features: Any, spec: FrontendSpec, expected: int, name: str, where: str | None = None
) -> None:
    """Refuse features that break the contract.

    Args:
        features: What ``extract`` returned.
        spec: The frontend's.
        expected: Number of frames T that the recording has.
        name: The frontend's, for the message.
        where: The utt_id, for the message.

    Raises:
        FrontendError: For a wrong type, dtype, width, number of frames or a value that is not finite.
    """
    got = describe_array(features)
    if not isinstance(features, np.ndarray) or features.dtype != np.float32 or features.ndim != 2:
        raise FrontendError(
            f"features of {name} have the wrong type", where=where, expected="float32 [T, D]", got=got
        )
    if features.shape[0] != expected:
        raise FrontendError(
            f"features of {name} have the wrong number of frames",
            where=where,
            expected=f"{expected} frames",
            got=f"{features.shape[0]} frames",
            hint="asr_kd.units.num_frames is the formula for all frontends",
        )
    if features.shape[1] != spec.dim:
        raise FrontendError(
            f"features of {name} have the wrong width", where=where, expected=f"dim {spec.dim}", got=got
        )
    if not np.isfinite(features).all():
        frame, value = np.argwhere(~np.isfinite(features))[0]
        raise FrontendError(
            f"features of {name} are not finite",
            where=where,
            got=f"{features[frame, value]} at frame {frame}, value {value}",
            hint="take the logarithm of max(x, floor)",
        )
