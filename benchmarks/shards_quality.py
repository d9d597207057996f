"""Size against error of every code at 14,000 senones, beside plain top-k, on posteriors of real speech."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from triphone_posteriors import TriphonePosteriors, mean_entropy

from asr_kd.distill.kept_code import Nucleus, Threshold, TopK
from asr_kd.distill.plan import CodeEstimate, estimate_code, fit_code
from asr_kd.distill.sampled_code import Sampled
from asr_kd.distill.sparse import CodeConfig

PLAIN_ENTRY_BYTES = 4
"""int16 id and float16 probability, as toolkits without a code of their own store them."""

FAMILIES: dict[str, tuple[Callable[[int], CodeConfig], int]] = {
    "topk, renormalised": (lambda n: TopK(k=n, tail="renormalise"), 256),
    "topk, tail as a class": (lambda n: TopK(k=n), 256),
    "nucleus": (lambda n: Nucleus(p=n / 1000, k=256), 1000),
    "threshold": (lambda n: _threshold(n, 8), 224),
    "threshold, 16 levels an octave": (lambda n: _threshold(n, 16), 224),
    "sampled": (lambda n: Sampled(k=n), 256),
}


def _threshold(number: int, steps: int) -> Threshold:
    return Threshold(least=2.0 ** (-number / 16), k=256, steps=steps)


def main() -> None:
    """Print a table for each entropy and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="work folder with features and alignment")
    parser.add_argument("--senones", type=int, default=14_000)
    parser.add_argument("--teachers", type=int, default=10)
    parser.add_argument("--utterances", type=int, default=6)
    parser.add_argument("--temperature", type=float, default=2.0)
    parser.add_argument(
        "--entropies", type=float, nargs="+", default=[2.5, 4.5], help="nats of the stored mean"
    )
    parser.add_argument("--sizes", type=float, nargs="+", default=[32, 64, 128], help="bytes a frame")
    arguments = parser.parse_args()
    posteriors = TriphonePosteriors(
        arguments.work, arguments.senones, arguments.teachers, arguments.utterances
    )
    prior, temperature = posteriors.log_prior.exp(), arguments.temperature
    for entropy in arguments.entropies:
        sample = posteriors.sample(temperature, posteriors.scale_for(entropy, temperature))
        num_frames = sum(len(log_q) for _, log_q in sample)
        print(
            f"\n{posteriors.num_senones} senones, {arguments.teachers} teachers, {num_frames} frames, "
            f"entropy {mean_entropy(sample):.2f} nats at T = {temperature:g}"
        )
        print(
            f"{'budget':>6}  {'code':30} {'parameters':22} {'B/frame':>7} {'kept':>5} "
            f"{'KL':>7} {'KL p99':>7} {'TV':>6} {'top-1':>6} {'mass':>5}"
        )
        for size in arguments.sizes:
            k = int(size / PLAIN_ENTRY_BYTES)
            plain = estimate_code(TopK(k=k, tail="renormalise", steps=16), sample, prior)
            _row(size, "plain top-k, 4 B an entry", f"k {k}", plain, k * PLAIN_ENTRY_BYTES)
            for name, (config_at, most) in FAMILIES.items():
                config = fit_code(config_at, sample, size, most)
                if config is not None:
                    estimate = estimate_code(config, sample, prior)
                    _row(size, name, _parameters(config), estimate, estimate.bytes_per_frame)


def _parameters(config: CodeConfig) -> str:
    shown = config.model_dump(exclude={"name", "tail", "powers", "seed", "steps"})
    return ", ".join(f"{name} {value:.4g}" for name, value in shown.items())


def _row(budget: float, name: str, parameters: str, estimate: CodeEstimate, size: float) -> None:
    print(
        f"{budget:6.0f}  {name:30} {parameters:22} {size:7.1f} {estimate.senones_kept:5.1f} "
        f"{estimate.divergence:7.4f} {estimate.divergence_p99:7.3f} {estimate.total_variation:6.4f} "
        f"{100 * estimate.top1_agreement:6.2f} {estimate.mass_kept:5.3f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
