"""Labels one view of a split into shard sets: what they lack, in the order in which it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asr_kd.data.frame_store import FrameStore
from asr_kd.data.shards import shard_key
from asr_kd.distill.shard_writer import ShardSetWriter
from asr_kd.progress import progress
from asr_kd.stages.labelling import BATCH_FRAMES, Labels, LabelTask, StoredFrames, batches

Label = Callable[[Iterable[LabelTask]], Iterator[Labels]]


class ViewLabelling:
    """One view of a split.

    Args:
        writers: One a shard set.
        split: Of the corpus.
        view: Name of the view.
        utt_ids: In the order in which they are written, the same in every run.
        members: By utt_id the numbers of the teachers that label an utterance, from 0; None: all label all.
    """

    def __init__(
        self,
        writers: Sequence[ShardSetWriter],
        split: str,
        view: str,
        utt_ids: Sequence[str],
        members: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        self._split = split
        self._view = view
        self._utt_ids = list(utt_ids)
        self._writers = list(writers)
        self._members = members
        # Of each utterance, whether each set lacks it.
        self._lacks = [
            [not writer.is_written(split, utt_id, view) for writer in writers] for utt_id in utt_ids
        ]

    @property
    def is_done(self) -> bool:
        """Whether no set lacks an utterance."""
        return not any(map(any, self._lacks))

    def write(
        self,
        label: Label,
        stored: FrameStore,
        inputs: Mapping[str, Path],
        pdf_ids: Callable[[str], np.ndarray[Any, Any] | None],
    ) -> None:
        """Label what is lacking and write it.

        Args:
            label: Maps tasks to labels, in order.
            stored: The features that are stored with the labels.
            inputs: Folders of the teachers' features by key.
            pdf_ids: Returns an utterance's ``[T]``, or None.
        """
        stores = {key: FrameStore(folder) for key, folder in inputs.items()}
        groups = [each for each in self._batches(stored) if any(map(any, self._lacks[each]))]
        tasks = (self._task(self._utt_ids[each], stores, inputs) for each in groups)
        what = f"ensemble {self._split} {self._view}".strip()
        with progress(what, sum(each.stop - each.start for each in groups), "utterances") as meter:
            for group, labels in zip(groups, label(tasks), strict=True):
                for place, *coded in zip(range(group.start, group.stop), *labels, strict=True):
                    utt_id = self._utt_ids[place]
                    parts = (np.array(stored.get(utt_id)), pdf_ids(utt_id))
                    for writer, lacks, each in zip(self._writers, self._lacks[place], coded, strict=True):
                        if lacks:
                            writer.add_coded(
                                self._split, utt_id, *parts, each.mean, self._view, each.teachers
                            )
                meter.advance(group.stop - group.start)

    def _batches(self, stored: FrameStore) -> Iterator[slice]:
        spans = (stored.span(utt_id) for utt_id in self._utt_ids)
        # Each group of teachers is to have enough rows of a batch.
        num_groups = 1 if self._members is None else len(set(self._members.values()))
        return batches([last - first for first, last in spans], BATCH_FRAMES * num_groups)

    def _task(
        self, utt_ids: Sequence[str], stores: Mapping[str, FrameStore], folders: Mapping[str, Path]
    ) -> LabelTask:
        keys = tuple(shard_key(utt_id, self._view) for utt_id in utt_ids)
        features = {
            key: StoredFrames(folders[key], tuple(store.span(utt_id) for utt_id in utt_ids))
            for key, store in stores.items()
        }
        members = None if self._members is None else tuple(self._members[utt_id] for utt_id in utt_ids)
        return LabelTask(keys, features, members)
