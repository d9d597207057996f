"""Posteriors that last for several frames, over any number of senones, for benchmarks of speed alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

_FRAMES_PER_STATE = 5
_NUM_LIKELY = 200


def synthetic_utterances(
    num_utterances: int, num_frames: int, num_senones: int, feature_dim: int = 40
) -> Iterator[tuple[str, Tensor, Tensor, Tensor]]:
    """Yield utt_id, features ``[T, D]``, pdf_ids ``[T]`` and log posteriors ``[T, S]``.

    Each state of 5 frames has 200 likely senones whose logits fall with their rank, with noise from frame to
    frame.
    """
    for number in range(num_utterances):
        generator = torch.Generator().manual_seed(number)
        num_states = num_frames // _FRAMES_PER_STATE + 1
        likely = torch.randint(num_senones, (num_states, _NUM_LIKELY), generator=generator)
        falling = -1.2 * torch.arange(1, _NUM_LIKELY + 1).log() + 6
        logits = torch.zeros(num_frames, num_senones)
        state = torch.arange(num_frames) // _FRAMES_PER_STATE
        noise = 0.3 * torch.randn(num_frames, _NUM_LIKELY, generator=generator)
        logits.scatter_(1, likely[state], falling + noise)
        features = torch.randn(num_frames, feature_dim, generator=generator)
        yield f"speaker-{number // 20:04}.utt-{number:06}", features, likely[state, 0], logits.log_softmax(1)
