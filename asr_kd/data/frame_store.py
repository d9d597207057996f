"""A matrix of frames on disk, read through memory mapping: features, alignments, scores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import DTypeLike

from asr_kd.atomic import errors_of, write_json
from asr_kd.errors import AsrKdError

FRAMES_FILE = "frames.npy"
INDEX_FILE = "index.json"


class FrameStoreWriter:
    """Appends utterances' frames ``[T, ...]`` to one ``.npy`` file; memory does not grow with them.

    Use it as a context manager on a folder that is renamed afterwards (``atomic_dir``).

    Args:
        folder: An existing empty folder.
        dtype: Of the stored frames.
        frame_shape: Shape of one frame, ``(D,)`` for features and ``()`` for pdf_ids.
        meta: JSON-like facts about the frames, kept in the index.
    """

    def __init__(
        self, folder: Path, dtype: DTypeLike, frame_shape: tuple[int, ...], meta: dict[str, Any] | None = None
    ) -> None:
        self._folder = folder
        self._dtype = np.dtype(dtype)
        self._frame_shape = frame_shape
        self._meta = meta or {}
        self._num_frames: dict[str, int] = {}
        self._path = folder / FRAMES_FILE
        self._stream: BinaryIO = self._path.open("wb")
        self._write_header(0)

    def _write_header(self, total: int) -> None:
        self._stream.seek(0)
        shape = (total, *self._frame_shape)
        header = {"descr": npy_format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        # numpy pads the header so that the row count can grow in place.
        npy_format.write_array_header_1_0(self._stream, header)

    def add(self, utt_id: str, frames: np.ndarray[Any, Any]) -> None:
        """Append one utterance's frames ``[T, ...]``.

        Raises:
            AsrKdError: When they do not fit the others.
            OSError: When they cannot be written, as on a full disk; it names the file.
        """
        if frames.shape[1:] != self._frame_shape:
            raise AsrKdError(
                "frames of another shape", where=utt_id, expected=self._frame_shape, got=frames.shape[1:]
            )
        if utt_id in self._num_frames:
            raise AsrKdError("utt_id stored twice", where=utt_id)
        if not np.can_cast(frames.dtype, self._dtype, casting="same_kind"):
            raise AsrKdError("frames of another type", where=utt_id, expected=self._dtype, got=frames.dtype)
        self._num_frames[utt_id] = len(frames)
        with errors_of(self._path):
            self._stream.write(np.ascontiguousarray(frames, dtype=self._dtype).tobytes())

    def __enter__(self) -> FrameStoreWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with errors_of(self._path), self._stream:
            if kind is None:
                self._write_header(sum(self._num_frames.values()))
        if kind is None:
            write_json(self._folder / INDEX_FILE, {"num_frames": self._num_frames, "meta": self._meta})


class FrameStore:
    """Reads what :class:`FrameStoreWriter` wrote.

    Attributes:
        frames: Memory-mapped array of all frames ``[N, ...]``.
        meta: What the writer was given.
        utt_ids: In the order of the frames.
    """

    def __init__(self, folder: Path) -> None:
        index_path = folder / INDEX_FILE
        if not index_path.is_file():
            raise AsrKdError("no frames are stored here", where=folder, hint="run the stage that writes them")
        try:
            index = json.loads(index_path.read_text(encoding="utf-8"))
            frames = np.load(folder / FRAMES_FILE, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise AsrKdError(
                f"stored frames are damaged: {error}",
                where=folder,
                hint="run the stage that writes them again",
            ) from None
        self.meta: dict[str, Any] = index["meta"]
        self.frames: np.ndarray[Any, Any] = frames
        self._span: dict[str, tuple[int, int]] = {}
        first = 0
        for utt_id, count in index["num_frames"].items():
            self._span[utt_id] = (first, first + count)
            first += count
        if first != len(self.frames):
            raise AsrKdError(
                "index and frames disagree", where=folder, expected=f"{first} frames", got=len(self.frames)
            )

    @property
    def utt_ids(self) -> list[str]:
        """Utterances in the order of their frames."""
        return list(self._span)

    def __contains__(self, utt_id: object) -> bool:
        return utt_id in self._span

    def __len__(self) -> int:
        return len(self._span)

    def span(self, utt_id: str) -> tuple[int, int]:
        """Return the first frame and one past the last frame of an utterance in ``frames``."""
        if utt_id not in self._span:
            raise AsrKdError("no frames of this utterance are stored", where=utt_id)
        return self._span[utt_id]

    def get(self, utt_id: str) -> np.ndarray[Any, Any]:
        """Return one utterance's frames ``[T, ...]`` as a view of the file."""
        first, last = self.span(utt_id)
        return self.frames[first:last]

    def items(self) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
        """Iterate over utterances and their frames in stored order."""
        for utt_id, (first, last) in self._span.items():
            yield utt_id, self.frames[first:last]
