"""Expectation-maximisation for the mixtures of :mod:`asr_kd.align.gmm` on aligned frames."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from asr_kd.align.gmm import Array, DiagGmm

_PERTURBATION = 0.05


@dataclass
class GmmStatistics:
    """Sufficient statistics of all components.

    Attributes:
        occupancy: Summed posteriors, float64 ``[G]``.
        first: Summed posteriors times x, float64 ``[G, D]``.
        second: Summed posteriors times x squared, float64 ``[G, D]``.
        log_likelihood: Summed ``log p(x | pdf)`` of the aligned frames.
        num_frames: Number of aligned frames.
    """

    occupancy: Array
    first: Array
    second: Array
    log_likelihood: float = 0.0
    num_frames: int = 0

    @classmethod
    def zeros(cls, num_gaussians: int, dim: int) -> GmmStatistics:
        """Return empty statistics."""
        shape = (num_gaussians, dim)
        return cls(np.zeros(num_gaussians), np.zeros(shape), np.zeros(shape))

    def add(self, other: GmmStatistics) -> None:
        """Add the statistics of other frames."""
        self.occupancy += other.occupancy
        self.first += other.first
        self.second += other.second
        self.log_likelihood += other.log_likelihood
        self.num_frames += other.num_frames

    def global_moments(self) -> tuple[Array, Array]:
        """Return mean and variance ``[D]`` of all aligned frames."""
        total = self.occupancy.sum()
        mean = self.first.sum(axis=0) / total
        return mean, self.second.sum(axis=0) / total - mean**2


def accumulate(gmm: DiagGmm, features: Array, pdf_ids: Array, statistics: GmmStatistics) -> None:
    """Add the frames of an alignment to the statistics.

    Args:
        gmm: Gives the posteriors of the components of each frame's pdf.
        features: ``[T, D]``.
        pdf_ids: ``[T]``; frames below 0 are left out.
        statistics: Changed in place.

    Source: Kaldi ``gmm-acc-stats-ali``.
    """
    order = np.argsort(pdf_ids, kind="stable")
    limits = np.searchsorted(pdf_ids[order], np.arange(gmm.num_pdfs + 1))
    for pdf_id in np.flatnonzero(np.diff(limits)):
        rows = features[order[limits[pdf_id] : limits[pdf_id + 1]]].astype(np.float64)  # [n, D]
        first, last = gmm.pdf_offsets[pdf_id], gmm.pdf_offsets[pdf_id + 1]
        components = gmm.component_log_likelihoods(rows, first, last)  # [g, n]
        totals = np.logaddexp.reduce(components, axis=0)
        posteriors = np.exp(components - totals)
        statistics.occupancy[first:last] += posteriors.sum(axis=1)
        statistics.first[first:last] += posteriors @ rows
        statistics.second[first:last] += posteriors @ rows**2
        statistics.log_likelihood += float(totals.sum())
        statistics.num_frames += len(rows)


def maximise(
    gmm: DiagGmm, statistics: GmmStatistics, variance_floor: Array, min_occupancy: float = 3.0
) -> DiagGmm:
    """Return the mixtures of the highest likelihood for the statistics.

    A component below ``min_occupancy`` is dropped, but the fullest one of a pdf stays; where even that
    one is below it, it keeps its mean and variance.

    Args:
        gmm: The mixtures that gave the posteriors.
        statistics: Of all frames.
        variance_floor: Smallest variance of each dimension, ``[D]``.
        min_occupancy: In frames.

    Source: Kaldi ``MleDiagGmmUpdate``.
    """
    occupancy = statistics.occupancy
    pdf_of_component = gmm.pdf_of_component
    trained = occupancy >= min_occupancy
    kept = trained.copy()
    kept[_fullest_components(gmm, occupancy)] = True

    safe = np.where(trained, occupancy, 1.0)[:, None]
    means = np.where(trained[:, None], statistics.first / safe, gmm.means)
    variances = np.where(trained[:, None], statistics.second / safe - means**2, gmm.variances)
    variances = np.maximum(variances, variance_floor)
    weights = np.where(kept, np.maximum(occupancy, np.finfo(np.float64).tiny), 0.0)
    weights /= np.bincount(pdf_of_component, weights, gmm.num_pdfs)[pdf_of_component]
    sizes = np.bincount(pdf_of_component[kept], minlength=gmm.num_pdfs)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return DiagGmm(weights[kept], means[kept], variances[kept], offsets)


def _fullest_components(gmm: DiagGmm, occupancy: Array) -> Array:
    """Return the component with the highest occupancy of each pdf, ``[S]``."""
    by_pdf_then_occupancy = np.lexsort((occupancy, gmm.pdf_of_component))
    return by_pdf_then_occupancy[gmm.pdf_offsets[1:] - 1]


def split_targets(pdf_occupancy: Array, total: int, power: float = 0.25, min_count: float = 20.0) -> Array:
    """Return how many components each pdf should have.

    Args:
        pdf_occupancy: Frames of each pdf ``[S]``.
        total: Number of components over all pdfs.
        power: Components are shared out in proportion to the occupancy to this power.
        min_count: Frames that a component must have on average.

    Source: Kaldi ``GetSplitTargets``.
    """
    targets = np.ones(len(pdf_occupancy), dtype=np.int64)
    shares = np.asarray(pdf_occupancy, dtype=np.float64) ** power
    heap = [(-share, pdf_id) for pdf_id, share in enumerate(shares)]
    heapq.heapify(heap)
    num_left = total - len(targets)
    while heap and num_left > 0:
        _, pdf_id = heapq.heappop(heap)
        if pdf_occupancy[pdf_id] >= min_count * (targets[pdf_id] + 1):
            targets[pdf_id] += 1
            num_left -= 1
            heapq.heappush(heap, (-shares[pdf_id] / targets[pdf_id], pdf_id))
    return targets


def mix_up(gmm: DiagGmm, targets: Array, seed: int) -> DiagGmm:
    """Split the heaviest components of each pdf until it has its target; never merge any.

    The two halves of a component move apart by a small random part of its standard deviation.

    Args:
        gmm: The mixtures.
        targets: Number of components of each pdf ``[S]``.
        seed: Of the directions.

    Source: Kaldi ``DiagGmm::Split``.
    """
    rng = np.random.default_rng(seed)
    weights, means, variances, sizes = [], [], [], []
    for pdf_id in range(gmm.num_pdfs):
        rows = slice(gmm.pdf_offsets[pdf_id], gmm.pdf_offsets[pdf_id + 1])
        pdf_weights = list(gmm.weights[rows])
        pdf_means = list(gmm.means[rows])
        pdf_variances = list(gmm.variances[rows])
        while len(pdf_weights) < targets[pdf_id]:
            heaviest = int(np.argmax(pdf_weights))
            step = _PERTURBATION * rng.standard_normal(gmm.dim) * np.sqrt(pdf_variances[heaviest])
            pdf_weights[heaviest] /= 2
            pdf_weights.append(pdf_weights[heaviest])
            pdf_means.append(pdf_means[heaviest] + step)
            pdf_means[heaviest] = pdf_means[heaviest] - step
            pdf_variances.append(pdf_variances[heaviest])
        weights += pdf_weights
        means += pdf_means
        variances += pdf_variances
        sizes.append(len(pdf_weights))
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return DiagGmm(np.array(weights), np.array(means), np.array(variances), offsets)
