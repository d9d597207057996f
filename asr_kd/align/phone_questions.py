"""Sets of phones that sound alike: what a decision tree asks of the neighbours."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import numpy as np

from asr_kd.align.gaussian_clusters import gaussian_log_likelihood, packed_moments
from asr_kd.align.triphone_statistics import TriphoneSums
from asr_kd.lang.phones import PhoneSet

Array = np.ndarray[Any, Any]
Question = tuple[str, ...]

# "AH_B" begins a word (as Kaldi marks positions), "AH1" has stress (as CMUdict marks it).
_MARKS = re.compile(r"(?<=.)(?:(?P<position>_[BIES])|(?P<stress>\d))$")


def phone_questions(sums: TriphoneSums, phone_set: PhoneSet, variance_floor: Array) -> list[Question]:
    """Return sets of phones: every cluster of a bottom-up clustering, and phones with one mark in common.

    Two clusters are merged whose frames lose the least likelihood when one Gaussian for each state stands
    for both. Phones without frames are in no cluster, but in a set of their own.

    Args:
        sums: Of all triphones.
        phone_set: The phones.
        variance_floor: ``[D]``.

    Source: Kaldi ``cluster-phones``.
    """
    moments = _moments_of_phones(sums, len(phone_set))  # [P, states, 1 + 2 * D]
    heard = np.flatnonzero(moments[:, :, 0].sum(axis=1) > 0)
    clusters: list[tuple[int, ...]] = [(index,) for index in range(len(phone_set))]
    clusters += _merged_clusters(heard, moments[heard], variance_floor)
    found = [tuple(phone_set.phone(index + 1) for index in sorted(cluster)) for cluster in clusters]
    return list(dict.fromkeys(found + _marked_phones(phone_set)))


def _moments_of_phones(sums: TriphoneSums, num_phones: int) -> Array:
    packed = packed_moments(sums.counts, sums.first, sums.second)
    num_states = int(sums.keys[:, 3].max(initial=0)) + 1
    moments = np.zeros((num_phones, num_states, packed.shape[1]))
    np.add.at(moments, (sums.keys[:, 1] - 1, sums.keys[:, 3]), packed)
    return moments


def _merged_clusters(heard: Array, moments: Array, variance_floor: Array) -> list[tuple[int, ...]]:
    """Return the clusters that arise on the way from single phones to two clusters."""
    members: list[tuple[int, ...]] = [(int(index),) for index in heard]
    found: list[tuple[int, ...]] = []
    while len(members) > 2:
        first, second = _closest_pair(moments, variance_floor)
        merged = members[first] + members[second]
        moments[first] += moments[second]
        moments = np.delete(moments, second, axis=0)
        members[first] = merged
        del members[second]
        found.append(merged)
    return found


def _closest_pair(moments: Array, variance_floor: Array) -> tuple[int, int]:
    """Return the two clusters, the lower first, whose union loses the least likelihood."""
    alone = _likelihood(moments, variance_floor)  # [C]
    best, pair = np.inf, (0, 1)
    for first in range(len(moments) - 1):
        together = _likelihood(moments[first + 1 :] + moments[first], variance_floor)
        losses = alone[first] + alone[first + 1 :] - together
        second = int(np.argmin(losses))
        if losses[second] < best:
            best, pair = float(losses[second]), (first, first + 1 + second)
    return pair


def _likelihood(moments: Array, variance_floor: Array) -> Array:
    """Return the likelihood of each cluster, summed over states, ``[C]``."""
    flat = moments.reshape(-1, moments.shape[-1])
    likelihood: Array = gaussian_log_likelihood(flat, variance_floor).reshape(moments.shape[:2]).sum(axis=1)
    return likelihood


def _marked_phones(phone_set: PhoneSet) -> list[Question]:
    """Return phones with the same position, the same stress, and the same name without marks."""
    groups: dict[str, list[str]] = defaultdict(list)
    for phone in phone_set.phones:
        name = phone
        while match := _MARKS.search(name):
            kind = "position" if match["position"] else "stress"
            groups[f"{kind} {match[kind]}"].append(phone)
            name = name[: match.start()]
        if name != phone:
            groups[f"phone {name}"].append(phone)
    return [tuple(group) for group in groups.values() if len(group) > 1]
