"""The protocol of a frontend, which a user's own class follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from asr_kd.errors import FrontendError
from asr_kd.fingerprint import fingerprint

Samples = NDArray[np.float32]
Features = NDArray[np.float32]
Resampler = Callable[[Samples, int, int], Samples]
"""``resampler(samples [N], from_rate, to_rate) -> samples``."""


@dataclass(frozen=True)
class FrontendSpec:
    """What everything else may know about a frontend.

    Attributes:
        dim: Number of values D in a frame.
        frame_shift: Time from frame to frame in seconds.
        sampling_rate: The one rate in Hz that ``extract`` takes; audio is resampled to it before.
        fingerprint: Changes with everything that changes the features.
    """

    dim: int
    frame_shift: float
    sampling_rate: int
    fingerprint: str


class Frontend(Protocol):
    """A map from samples to features with a fixed frame shift; any class of this shape will do.

    An instance is called by several threads, but by one at a time: it may keep what it works on in itself.
    """

    @property
    def spec(self) -> FrontendSpec:
        """Width, frame shift, rate and fingerprint; the same whenever it is asked for."""

    def extract(self, samples: Samples, sampling_rate: int) -> Features:
        """Return the features of one recording.

        Args:
            samples: Mono, float32 ``[N]``, within -1 and 1; they must be left as they are.
            sampling_rate: In Hz; always ``spec.sampling_rate`` when the pipeline calls.

        Returns:
            Finite float32 ``[T, D]`` with T = ``num_frames(N, sampling_rate, spec.frame_shift)``,
            the same for the same samples. T is 0 for less than half a frame shift.
        """


@runtime_checkable
class BatchFrontend(Frontend, Protocol):
    """A frontend that is faster on several recordings at once; others are called one by one."""

    def extract_batch(self, recordings: Sequence[Samples], sampling_rate: int) -> Sequence[Features]:
        """Return the features of each recording, to the bit what ``extract`` returns."""


def frontend_fingerprint(cls: type, options: Mapping[str, Any], version: int) -> str:
    """Return a fingerprint of a frontend's class, options and version of its algorithm.

    Args:
        cls: The class.
        options: Everything that its features depend on.
        version: A number in the class, raised with each change of what ``extract`` returns.
    """
    return fingerprint([f"{cls.__module__}:{cls.__qualname__}", dict(options), version])


def frontend_name(frontend: Frontend) -> str:
    """Return ``module:Class`` of a frontend for messages."""
    cls = type(frontend)
    return f"{cls.__module__}:{cls.__qualname__}"


def check_input(spec: FrontendSpec, samples: Samples, sampling_rate: int) -> None:
    """Refuse samples that are not mono float32, and another rate than the frontend's.

    Raises:
        FrontendError: As said.
    """
    if sampling_rate != spec.sampling_rate:
        raise FrontendError(
            "audio of another sampling rate than the frontend's",
            expected=f"{spec.sampling_rate} Hz",
            got=f"{sampling_rate} Hz",
            hint="resample it first, or set the frontend's sampling_rate",
        )
    if not isinstance(samples, np.ndarray) or samples.ndim != 1 or samples.dtype != np.float32:
        raise FrontendError("samples are not mono", expected="float32 [N]", got=describe_array(samples))


def describe_array(value: object) -> str:
    """Return dtype and shape of an array, the type of anything else, for messages."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {list(value.shape)}"
    return type(value).__name__
