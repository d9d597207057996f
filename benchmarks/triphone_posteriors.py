"""Posteriors over 14,000 context-dependent states of real speech, without hours of training.

Classes are the states of a finished alignment in their phone context. Teachers are linear discriminants (one
covariance) on random taps of the features and random halves of the training frames: solved in closed form,
with the temporal course and the confusions of real frames. They are weaker than nets, so that the entropy of
their mean is set by scaling the logits.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr_kd.data.frame_store import FrameStore
from asr_kd.distill.ensemble import ensemble_log_posteriors
from asr_kd.lang.hmm import Hmm

_NUM_INPUTS = 220
_SHRINKAGE_FRAMES = 8.0
_REGULARISER = 0.02


class TriphonePosteriors:
    """Linear teachers of context-dependent states.

    Args:
        work: A work folder with features and alignment (``asr-kd run RECIPE --to-stage align``).
        num_senones: S; the most frequent states in context keep a class of their own.
        num_teachers: N.
        num_utterances: Labelled utterances, of speakers that no teacher has seen.
    """

    def __init__(self, work: Path, num_senones: int, num_teachers: int, num_utterances: int) -> None:
        features = FrameStore(next((work / "features").glob("*/train")))
        alignment = FrameStore(work / "align" / "train")
        self.utt_ids = [utt_id for utt_id in alignment.utt_ids if utt_id in features]
        # Ids are sorted by speaker, so the last ones are of speakers apart.
        held_out = set(self.utt_ids[-num_utterances:])
        classes, self.num_senones = _classes(
            alignment, self.utt_ids, Hmm.load(work / "align" / "hmm.json"), num_senones
        )
        frames = [
            torch.from_numpy(np.array(features.get(utt_id), dtype=np.float32)) for utt_id in self.utt_ids
        ]
        learnt = [index for index, utt_id in enumerate(self.utt_ids) if utt_id not in held_out]
        self.log_prior = _log_prior(torch.cat([classes[index] for index in learnt]), self.num_senones)
        self._logits: dict[str, list[Tensor]] = {utt_id: [] for utt_id in self.utt_ids[-num_utterances:]}
        for seed in range(num_teachers):
            teacher = _LinearTeacher(seed, frames[0].shape[1])
            teacher.fit([frames[i] for i in learnt], [classes[i] for i in learnt], self.log_prior)
            for index, utt_id in enumerate(self.utt_ids):
                if utt_id in held_out:
                    self._logits[utt_id].append(teacher.logits(frames[index]).half())

    def sample(self, temperature: float, scale: float = 1.0) -> list[tuple[str, Tensor]]:
        """Return the log posteriors of the arithmetic mean, by utterance."""
        return [
            (utt_id, ensemble_log_posteriors((scale * one.float() for one in logits), temperature))
            for utt_id, logits in self._logits.items()
        ]

    def scale_for(self, entropy: float, temperature: float) -> float:
        """Return the scale of the logits at which the mean at a temperature has an entropy in nats."""
        low, high = 0.05, 8.0
        for _ in range(8):
            middle = math.sqrt(low * high)
            if mean_entropy(self.sample(temperature, middle)) > entropy:
                low = middle
            else:
                high = middle
        return math.sqrt(low * high)


def mean_entropy(sample: list[tuple[str, Tensor]]) -> float:
    """Return the mean entropy of rows in nats."""
    entropies = torch.cat([-(log_q.exp() * log_q).sum(1) for _, log_q in sample])
    return float(entropies.mean())


class _LinearTeacher:
    """Gaussian classes with one covariance, over inputs at random places of a window."""

    def __init__(self, seed: int, dim: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._taps = torch.randint(-9, 10, (_NUM_INPUTS,), generator=self._generator)
        self._bands = torch.randint(dim, (_NUM_INPUTS,), generator=self._generator)

    def _inputs(self, frames: Tensor) -> Tensor:
        rows = (torch.arange(len(frames))[:, None] + self._taps).clamp(0, len(frames) - 1)
        return frames[rows, self._bands]

    def fit(self, utterances: list[Tensor], classes: list[Tensor], log_prior: Tensor) -> None:
        num_senones = len(log_prior)
        sums = torch.zeros(num_senones, _NUM_INPUTS)
        squares = torch.zeros(_NUM_INPUTS, _NUM_INPUTS)
        counts = torch.zeros(num_senones)
        for frames, pdf_ids in zip(utterances, classes, strict=True):
            chosen = torch.rand(len(frames), generator=self._generator) < 0.5
            inputs, labels = self._inputs(frames)[chosen], pdf_ids[chosen]
            sums.index_add_(0, labels, inputs)
            counts += torch.bincount(labels, minlength=num_senones)
            squares += inputs.T @ inputs
        overall = sums.sum(0) / counts.sum()
        means = (sums + _SHRINKAGE_FRAMES * overall) / (counts + _SHRINKAGE_FRAMES)[:, None]
        between = sums.T @ means
        within = (squares - (between + between.T) / 2) / counts.sum()
        values, vectors = torch.linalg.eigh((within + within.T) / 2)
        whiten = vectors / values.clamp_min(_REGULARISER).sqrt()
        self._weight = (means @ whiten) @ whiten.T  # [S, inputs]
        self._bias = log_prior - (self._weight * means).sum(1) / 2

    def logits(self, frames: Tensor) -> Tensor:
        logits: Tensor = self._inputs(frames) @ self._weight.T + self._bias
        return logits


def _classes(
    alignment: FrameStore, utt_ids: list[str], hmm: Hmm, num_senones: int
) -> tuple[list[Tensor], int]:
    """Return each utterance's states in phone context as classes, and their number."""
    states = np.array([hmm.tree.phone_and_state(pdf_id) for pdf_id in range(hmm.num_pdfs)])
    codes = [_context_codes(states[np.asarray(alignment.get(utt_id))]) for utt_id in utt_ids]
    distinct, classes, counts = np.unique(np.concatenate(codes), return_inverse=True, return_counts=True)
    frequent = np.zeros(len(distinct), dtype=bool)
    frequent[np.argsort(-counts, kind="stable")[:num_senones]] = True
    # A rare one joins the frequent one before it, which shares phone, state and often the left context.
    nearest = np.maximum.accumulate(np.where(frequent, np.arange(len(distinct)), np.flatnonzero(frequent)[0]))
    merged = torch.from_numpy((np.cumsum(frequent) - 1)[nearest][classes])
    return list(torch.split(merged, [len(code) for code in codes])), int(frequent.sum())


def _context_codes(states: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return phone, state, left and right phone of each frame as one number ``[T]``."""
    phone, state = states.T
    begins = np.ones(len(phone), dtype=bool)
    begins[1:] = (phone[1:] != phone[:-1]) | (state[1:] < state[:-1])
    segment = np.cumsum(begins) - 1
    phones = np.concatenate([[0], phone[begins], [0]])
    left, right = phones[segment], phones[segment + 2]
    codes: np.ndarray[Any, Any] = ((phone * 16 + state) * 512 + left) * 512 + right
    return codes


def _log_prior(classes: Tensor, num_senones: int) -> Tensor:
    counts = torch.bincount(classes, minlength=num_senones).float() + 0.5
    return (counts / counts.sum()).log()
