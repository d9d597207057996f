"""Frames of log-mel and MFCC features a second on one core, beside kaldi-native-fbank and librosa.

``OMP_NUM_THREADS=1 python benchmarks/features.py [--corpus SPEECHOCEAN762] [--seconds 120] [--rounds 7]``

Needs ``pip install kaldi-native-fbank``, which asr_kd itself never imports. The audio is read beforehand. All
times are of the processor; the extractors take turns, and each one's best round counts. First the values are
compared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import kaldi_native_fbank as knf
import librosa
import numpy as np
import torch
from numpy.typing import NDArray

from asr_kd.data.audio import load_audio
from asr_kd.frontend.base import Features, Recording, Samples, compute_batch, load_frontend

RATE = 16000
FRONTENDS = {name: load_frontend(name) for name in ("fbank", "mfcc")}

Extract = Callable[[], Sequence[NDArray[np.float32]]]


def main() -> None:
    """Print the largest difference from kaldi-native-fbank, and a row for each extractor."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, help="Folder of speechocean762; without it, noise.")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    audio = _speech(arguments.corpus, arguments.seconds) if arguments.corpus else _noise(arguments.seconds)
    kind = "speech" if arguments.corpus else "noise"
    print(f"{len(audio)} recordings, {sum(map(len, audio)) / RATE:.0f} s of {kind}")
    for name, kaldi in (("fbank", _kaldi_fbank), ("mfcc", _kaldi_mfcc)):
        pairs = zip(_ours(name, audio), map(kaldi, audio), strict=True)
        difference = max(np.abs(ours - theirs).max() for ours, theirs in pairs)
        print(f"{name}: {difference:.1e} from kaldi-native-fbank at most")
    rates = _rates(_extractors(audio), arguments.rounds)
    print("| | frames/s | times kaldi-native-fbank | times librosa |")
    print("|---|---|---|---|")
    for name, rate in rates.items():
        kind = name.partition(":")[0]
        ratios = [rate / rates[f"{kind}: {other}"] for other in ("kaldi-native-fbank", "librosa")]
        print(f"| {name} | {rate:,.0f} | {ratios[0]:.2f} | {ratios[1]:.2f} |")


def _extractors(audio: Sequence[Samples]) -> dict[str, Extract]:
    return {
        "fbank: asr_kd": lambda: _ours("fbank", audio),
        "fbank: asr_kd, one by one": lambda: [_ours("fbank", [samples])[0] for samples in audio],
        "fbank: kaldi-native-fbank": lambda: [_kaldi_fbank(samples) for samples in audio],
        "fbank: librosa": lambda: [_librosa_log_mel(samples) for samples in audio],
        "mfcc: asr_kd": lambda: _ours("mfcc", audio),
        "mfcc: kaldi-native-fbank": lambda: [_kaldi_mfcc(samples) for samples in audio],
        "mfcc: librosa": lambda: [_librosa_mfcc(samples) for samples in audio],
    }


def _rates(extractors: dict[str, Extract], rounds: int) -> dict[str, float]:
    """Return frames a second of each extractor's best round."""
    best = dict.fromkeys(extractors, 0.0)
    for _ in range(rounds):
        for name, extract in extractors.items():
            start = time.process_time()
            num_frames = sum(map(len, extract()))
            best[name] = max(best[name], num_frames / (time.process_time() - start))
    return best


def _ours(name: str, audio: Sequence[Samples]) -> list[Features]:
    """Return features as the features stage computes them, contract checks and all."""
    return compute_batch(FRONTENDS[name], [Recording(samples, RATE) for samples in audio])


def _frame_options(options: knf.FbankOptions | knf.MfccOptions, num_mel_bins: int) -> None:
    options.frame_opts.samp_freq = RATE
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = num_mel_bins


def _kaldi_fbank(samples: Samples) -> Features:
    options = knf.FbankOptions()
    _frame_options(options, 40)
    return _all_frames(knf.OnlineFbank(options), samples)


def _kaldi_mfcc(samples: Samples) -> Features:
    options = knf.MfccOptions()
    _frame_options(options, 23)
    options.num_ceps = 13
    options.use_energy = False
    return _all_frames(knf.OnlineMfcc(options), samples)


def _all_frames(online: knf.OnlineFbank | knf.OnlineMfcc, samples: Samples) -> Features:
    online.accept_waveform(RATE, (samples * 32768).tolist())  # a list is taken faster than an array
    online.input_finished()
    return np.stack([online.get_frame(frame) for frame in range(online.num_frames_ready)])


def _librosa_log_mel(samples: Samples) -> Features:
    log_mel: Features = np.log(np.maximum(_librosa_mel(samples, 40), 1e-10)).T
    return log_mel


def _librosa_mfcc(samples: Samples) -> Features:
    log_mel = librosa.power_to_db(_librosa_mel(samples, 23))
    mfcc: Features = librosa.feature.mfcc(S=log_mel, n_mfcc=13, lifter=22).T
    return mfcc


def _librosa_mel(samples: Samples, num_mel_bins: int) -> Features:
    mel: Features = librosa.feature.melspectrogram(
        y=samples, sr=RATE, n_fft=512, hop_length=160, win_length=400, n_mels=num_mel_bins, fmin=20.0
    )
    return mel


def _speech(corpus: Path, seconds: float) -> list[Samples]:
    audio: list[Samples] = []
    for path in sorted((corpus / "WAVE").glob("*/*.ogg")):
        if sum(map(len, audio)) >= seconds * RATE:
            break
        audio.append(load_audio(path).samples)
    return audio


def _noise(seconds: float) -> list[Samples]:
    """Return recordings of 1 to 7 s."""
    rng = np.random.default_rng(0)
    lengths = [RATE * (1 + number % 7) for number in range(round(seconds / 4))]
    return [(0.1 * rng.standard_normal(length)).astype(np.float32) for length in lengths]


if __name__ == "__main__":
    main()
