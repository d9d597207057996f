"""The loss of a net on whole sentences: a criterion over lattices, beside the cross-entropy of frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from asr_kd.data.utterance_source import UTTERANCE
from asr_kd.data.windows import Batch
from asr_kd.decode.state_lattice import StateLattice
from asr_kd.distill.sequence import arc_scores, by_frame, expected_accuracy, path_sums
from asr_kd.errors import ConfigError

Criterion = Literal["smbr", "mmi", "teacher"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Competitors:
    """An utterance's competing paths, and how likely the teacher finds their states.

    Attributes:
        lattice: The paths.
        teacher: The teacher's log-likelihood of each arc's state at its frame ``[A]``; 0 where none is taken.
    """

    lattice: StateLattice
    teacher: Array


@dataclass(frozen=True)
class SequenceLoss:
    """Cost of a batch of whole utterances, and its gradient.

    ``smbr`` minimises the expected share of wrong states over the paths of a lattice, ``mmi`` the
    improbability of the aligned states among the paths, ``teacher`` the divergence of the student's
    distribution over the paths from the teacher's.

    Args:
        criterion: Which of them.
        acoustic_scale: Factor on log-likelihoods.
        frame_weight: Weight of the frames' cross-entropy; the criterion has the rest.
        log_prior: log p(s) ``[S]``.
        competitors: Of an utterance by its number in the batches; None where there are none, and the frames
            count alone.
        frame_net: Whose posteriors the frames' cross-entropy is against, as it is and not trained; None: the
            aligned states.

    Source: Vesely et al. 2013, "Sequence-discriminative training of deep neural networks" (smbr, mmi);
        Wong & Gales 2016, "Sequence student-teacher training of deep neural networks" (teacher); Su et al.
        2013, "Error back propagation for sequence training" (the frames' share); Yu et al. 2013,
        "KL-divergence regularized deep neural network adaptation" (against a net's posteriors).
    """

    criterion: Criterion
    acoustic_scale: float
    frame_weight: float
    log_prior: Array
    competitors: Callable[[int], Competitors | None]
    frame_net: nn.Module | None = None

    def __post_init__(self) -> None:
        if self.criterion not in get_args(Criterion):
            raise ConfigError(
                "no such criterion", expected=f"one of {', '.join(get_args(Criterion))}", got=self.criterion
            )

    def __call__(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the mean cost of a frame, and criterion and frames' cross-entropy apart."""
        log_posteriors = logits.float().log_softmax(1)
        pdf_ids = batch.targets["pdf_ids"].long()
        log_likelihoods = log_posteriors.detach().cpu().numpy() - self.log_prior
        cost, gradient = self._sums(
            log_likelihoods, pdf_ids.cpu().numpy(), batch.targets[UTTERANCE].cpu().numpy()
        )
        slope = torch.from_numpy(gradient).to(logits.device) / len(batch)
        linear = (log_posteriors * slope).sum()
        # Of the criterion's value, with the gradient of its tangent.
        criterion = linear - linear.detach() + cost / len(batch)
        frames = nn.functional.cross_entropy(log_posteriors, self._frame_targets(batch))
        total = (1 - self.frame_weight) * criterion + self.frame_weight * frames
        return total, {self.criterion: criterion.detach(), "frames": frames.detach()}

    def _frame_targets(self, batch: Batch) -> Tensor:
        """Return the aligned states ``[B]``, or the posteriors of the net to stay near ``[B, S]``."""
        if self.frame_net is None:
            return batch.targets["pdf_ids"].long()
        with torch.no_grad():
            logits: Tensor = self.frame_net(batch.windows)
        return logits.float().softmax(1)

    def _sums(self, log_likelihoods: Array, pdf_ids: Array, utterances: Array) -> tuple[float, Array]:
        """Return the cost of all frames, and its derivative with regard to the log-likelihoods ``[B, S]``."""
        gradient = np.zeros_like(log_likelihoods)
        total = 0.0
        edges = np.flatnonzero(np.diff(utterances)) + 1
        for first, last in zip([0, *edges], [*edges, len(utterances)], strict=True):
            found = self.competitors(int(utterances[first]))
            if found is None:
                continue
            cost, gradient[first:last] = self._cost(found, log_likelihoods[first:last], pdf_ids[first:last])
            total += cost
        return total, gradient

    def _cost(self, found: Competitors, log_likelihoods: Array, pdf_ids: Array) -> tuple[float, Array]:
        lattice, num_pdfs = found.lattice, log_likelihoods.shape[1]
        scores = arc_scores(lattice, log_likelihoods, self.acoustic_scale)
        if self.criterion == "smbr":
            arcs = lattice.arcs
            is_right = (arcs["pdf_id"] == pdf_ids[arcs["frame"]]) & (arcs["frame"] >= 0)
            right, slope = expected_accuracy(lattice, scores, is_right.astype(np.float64))
            return len(pdf_ids) - right, -self.acoustic_scale * by_frame(lattice, slope, num_pdfs)
        sums = path_sums(lattice, scores)
        occupancy = by_frame(lattice, sums.occupancy, num_pdfs)
        if self.criterion == "mmi":
            reference = np.zeros_like(occupancy)
            reference[np.arange(len(pdf_ids)), pdf_ids] = 1.0
            # A frame whose aligned state is on no path would push at what the lattice cannot answer.
            lost = occupancy[np.arange(len(pdf_ids)), pdf_ids] == 0
            reference[lost] = occupancy[lost]
        else:
            teacher = self.acoustic_scale * found.teacher.astype(np.float64) - lattice.arcs["cost"]
            wanted = path_sums(lattice, teacher)
            reference = by_frame(lattice, wanted.occupancy, num_pdfs)
            divergence = sums.log_total - wanted.log_total + float(wanted.occupancy @ (teacher - scores))
            return divergence, self.acoustic_scale * (occupancy - reference)
        cost = sums.log_total - self.acoustic_scale * float(
            (reference * log_likelihoods).sum(dtype=np.float64)
        )
        return cost, self.acoustic_scale * (occupancy - reference)
