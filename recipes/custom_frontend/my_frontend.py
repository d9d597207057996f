"""A frontend of one's own: log energies of gammatone-like filters, the frame's log energy, and deltas."""

import numpy as np

from asr_kd.frontend.base import FrontendSpec, frontend_fingerprint
from asr_kd.units import num_frames


class GammatoneEnergy:
    """Named in a recipe as ``frontend: my_frontend:GammatoneEnergy``; its arguments are the options."""

    VERSION = 1  # raise it with each change of what extract returns

    def __init__(self, num_filters: int = 32, sampling_rate: int = 16000, frame_shift: float = 0.01) -> None:
        self.num_filters, self.sampling_rate, self.frame_shift = num_filters, sampling_rate, frame_shift
        self.window = int(0.025 * sampling_rate)
        self.filters = self._gammatone_power()
        options = {"filters": num_filters, "rate": sampling_rate, "shift": frame_shift}
        mark = frontend_fingerprint(type(self), options, self.VERSION)
        self.spec = FrontendSpec(2 * (num_filters + 1), frame_shift, sampling_rate, mark)

    def _gammatone_power(self) -> np.ndarray:
        """Return power responses of fourth-order gammatone filters, evenly spaced in ERB: [filter, bin]."""
        highest = 21.4 * np.log10(1 + 0.00437 * 0.45 * self.sampling_rate)
        erb_number = np.linspace(2.5, highest, self.num_filters)
        centre = (10 ** (erb_number / 21.4) - 1) / 0.00437
        bandwidth = 1.019 * 24.7 * (0.00437 * centre + 1)
        hertz = np.fft.rfftfreq(self.window, 1 / self.sampling_rate)
        return (1 + ((hertz - centre[:, None]) / bandwidth[:, None]) ** 2) ** -4.0

    def extract(self, samples: np.ndarray, sampling_rate: int) -> np.ndarray:
        """Return float32 [T, D]."""
        T = num_frames(len(samples), sampling_rate, self.frame_shift)
        if T == 0:
            return np.zeros((0, self.spec.dim), dtype=np.float32)
        centres = ((np.arange(T) + 0.5) * self.frame_shift * sampling_rate).astype(int)
        padded = np.pad(samples, self.window)
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.window)[centres + self.window // 2]
        power = np.abs(np.fft.rfft(frames * np.hanning(self.window))) ** 2  # [T, bin]
        energies = np.concatenate([power @ self.filters.T, power.sum(axis=1, keepdims=True)], axis=1)
        static = np.log(np.maximum(energies, 1e-8))
        ahead_and_back = np.pad(static, ((1, 1), (0, 0)), mode="edge")
        deltas = (ahead_and_back[2:] - ahead_and_back[:-2]) / 2
        return np.concatenate([static, deltas], axis=1).astype(np.float32)
