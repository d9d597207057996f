"""Features of audio that comes piece by piece, and their normalisation by what has been heard so far."""

from __future__ import annotations

import math

import numpy as np

from asr_kd.frontend.cmvn import Cmvn, CmvnMode
from asr_kd.frontend.compute import compute_features
from asr_kd.frontend.protocol import Features, Frontend, Resampler, Samples
from asr_kd.units import num_frames, samples_per_shift

_UNSTATED_FRAME_LENGTH = 0.1
_STREAM = "stream"


class StreamingFeatures:
    """Computes the features that the whole recording would have, as soon as their samples are there.

    The frontend is called on pieces that overlap by the length of its window, and the frames whose window
    reaches over the edge of a piece are not taken from it. So a frame must depend on no more than
    ``frame_length`` seconds around it: an attribute of the built-in frontends, which one of your own may
    have too; without it 0.1 s are assumed.

    Args:
        frontend: Built in or the user's own.
        sampling_rate: Of the samples to come, in Hz.
        resampler: Brings them to the frontend's rate; may be left out where the rates agree.
    """

    def __init__(self, frontend: Frontend, sampling_rate: int, resampler: Resampler | None = None) -> None:
        spec = frontend.spec
        self._frontend = frontend
        self._rate = sampling_rate
        self._resampler = resampler
        self._shift = samples_per_shift(sampling_rate, spec.frame_shift)
        length = float(getattr(frontend, "frame_length", _UNSTATED_FRAME_LENGTH))
        is_resampled = sampling_rate != spec.sampling_rate
        self._context = math.ceil(0.5 + length / (2 * spec.frame_shift)) + is_resampled
        # Pieces begin where a frame begins at a whole sample, at both rates.
        own_shift = samples_per_shift(spec.sampling_rate, spec.frame_shift)
        self._frames_per_step = math.lcm(self._shift.denominator, own_shift.denominator)
        self._samples = np.zeros(0, dtype=np.float32)
        self._first_frame = 0  # that begins with the first sample kept
        self._num_samples = 0
        self._num_frames = 0

    def accept(self, samples: Samples) -> Features:
        """Take the next samples ``[N]``; return the frames that they complete ``[n, D]``."""
        self._samples = np.concatenate([self._samples, samples.astype(np.float32)])
        self._num_samples += len(samples)
        return self._frames_to(math.floor(self._num_samples / self._shift) - self._context + 1)

    def finish(self) -> Features:
        """Return the frames that are left ``[n, D]``; the signal is mirrored at its end, as offline."""
        return self._frames_to(num_frames(self._num_samples, self._rate, self._frontend.spec.frame_shift))

    def _frames_to(self, end: int) -> Features:
        if end <= self._num_frames:
            return np.zeros((0, self._frontend.spec.dim), dtype=np.float32)
        features = compute_features(self._frontend, self._samples, self._rate, self._resampler)
        new = features[self._num_frames - self._first_frame : end - self._first_frame]
        self._num_frames = end
        first = max(0, end - self._context) // self._frames_per_step * self._frames_per_step
        self._samples = self._samples[int((first - self._first_frame) * self._shift) :]
        self._first_frame = first
        return new


class RunningCmvn:
    """Normalises frames by mean and variance of all frames so far, which approach those of the utterance.

    Args:
        dim: Number of values D in a frame.
        mode: ``none`` leaves features as they are; ``utterance`` and ``speaker`` come to the same, since
            of a stream neither is known whole.
        num_first: Frames to hear before the first one is given out.
    """

    def __init__(self, dim: int, mode: CmvnMode, num_first: int = 100) -> None:
        self._dim = dim
        self._is_off = mode == "none"
        self._cmvn = Cmvn("speaker")
        self._num_first = num_first
        self._waiting: list[Features] = []
        self._num_heard = 0

    def accept(self, features: Features) -> Features:
        """Take the next frames ``[n, D]``; return normalised ones."""
        if self._is_off:
            return features
        self._cmvn.accumulate(features, _STREAM)
        self._waiting.append(features)
        self._num_heard += len(features)
        return self.finish() if self._num_heard >= self._num_first else features[:0]

    def finish(self) -> Features:
        """Return the frames that are held back ``[n, D]``, normalised."""
        waiting = np.concatenate([np.zeros((0, self._dim), dtype=np.float32), *self._waiting])
        self._waiting = []
        return self._cmvn.apply(waiting, _STREAM) if len(waiting) else waiting
