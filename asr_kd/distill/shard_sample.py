"""One utterance as a sample of a posterior shard."""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import dataclass

import numpy as np

from asr_kd.data.shards import Sample, shard_key
from asr_kd.distill.bits import Array, Data
from asr_kd.errors import ShardError

INDEX_PART = "json"
FEATURES_PART = "features.npy"
PDF_IDS_PART = "pdf_ids.npy"
TARGETS_PART = "targets"
TEACHER_PREFIX = "targets."

_NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(<[fi]\d)', 'fortran_order': False, "
    rb"'shape': \((\d+),(?: (\d+))?\), \} *\n",
    re.DOTALL,
)
"""What numpy writes for small vectors and matrices of numbers; other headers take numpy's own, slow way."""


@dataclass(frozen=True)
class StoredUtterance:
    """One utterance, in one view, as it is stored.

    Attributes:
        utt_id: As in the manifest.
        view: Name of the augmented copy; empty for the plain one.
        features: float16 ``[T, D]``.
        pdf_ids: ``[T]``; None for transfer audio.
        targets: The coded posteriors of T frames.
        teachers: Those of each teacher alone, when they are kept apart.
    """

    utt_id: str
    view: str
    features: Array
    pdf_ids: Array | None
    targets: Data
    teachers: tuple[Data, ...] = ()

    def __len__(self) -> int:
        return len(self.features)


def pack_sample(utterance: StoredUtterance) -> Sample:
    """Return the sample of an utterance; equal utterances give equal bytes."""
    index = {"num_frames": len(utterance), "utt_id": utterance.utt_id, "view": utterance.view}
    parts = {
        INDEX_PART: json.dumps(index, sort_keys=True, ensure_ascii=True).encode(),
        FEATURES_PART: _npy(utterance.features),
        TARGETS_PART: utterance.targets,
        **{teacher_part(number): data for number, data in enumerate(utterance.teachers)},
    }
    if utterance.pdf_ids is not None:
        parts[PDF_IDS_PART] = _npy(utterance.pdf_ids)
    return Sample(shard_key(utterance.utt_id, utterance.view), parts)


def teacher_part(number: int) -> str:
    """Return the member's name of a teacher, counted from 0: ``targets.01`` for the first."""
    return f"{TEACHER_PREFIX}{number + 1:02}"


def teacher_key(key: str, number: int) -> str:
    """Return what seeds the code of one teacher, counted from 0, of an utterance.

    What a sampled code draws for one teacher must not depend on what it draws for another.
    """
    return f"{key} {teacher_part(number)}"


def unpack_sample(sample: Sample, where: str, num_teachers: int = 0) -> StoredUtterance:
    """Return the utterance of a sample, with its teachers when they are kept apart.

    Raises:
        ShardError: For a missing or malformed member, or members that differ in their number of frames.
    """
    place = f"{where}:{sample.key}"
    apart = [teacher_part(number) for number in range(num_teachers)]
    wanted = (INDEX_PART, FEATURES_PART, TARGETS_PART, *apart)
    missing = [part for part in wanted if part not in sample.parts]
    if missing:
        raise ShardError(f"members missing: {missing}", where=place)
    try:
        index = json.loads(bytes(sample.parts[INDEX_PART]))
        utt_id, view, num_frames = str(index["utt_id"]), str(index["view"]), int(index["num_frames"])
        features = _array(sample.parts[FEATURES_PART])
        labels = sample.parts.get(PDF_IDS_PART)
        pdf_ids = None if labels is None else _array(labels)
    except (ValueError, KeyError, TypeError) as error:
        raise ShardError(f"a malformed member: {error}", where=place) from None
    if sample.key != shard_key(utt_id, view):
        raise ShardError("key and utt_id differ", where=place, expected=shard_key(utt_id, view))
    for name, frames in (("features", features), ("pdf_ids", pdf_ids)):
        if frames is not None and len(frames) != num_frames:
            raise ShardError(f"{name} of another length", where=place, expected=num_frames, got=len(frames))
    teachers = tuple(sample.parts[part] for part in apart)
    return StoredUtterance(utt_id, view, features, pdf_ids, sample.parts[TARGETS_PART], teachers)


def _npy(array: Array) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _array(data: Data) -> Array:
    found = _NPY_HEADER.match(data)
    if found is None:
        array: Array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
        return array
    kind, *shape = (part.decode() for part in found.groups() if part)
    sizes = [int(size) for size in shape]
    return np.frombuffer(data, kind, math.prod(sizes), found.end()).reshape(sizes)
