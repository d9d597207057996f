"""Arcs of an FST as numpy arrays, through OpenFst's binary form, for fast passes over all arcs."""

from __future__ import annotations

import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kaldifst
import numpy as np

from asr_kd.errors import GraphError

_MAGIC = 2125659606
_VERSION = 2
_PROPERTIES = 1  # kExpanded; all else is unknown, and OpenFst works it out when it needs it
_TAIL = struct.Struct("<iiQqqq")  # version, flags, properties, start, number of states, number of arcs
_STATE = np.dtype(
    [("final", "<f4"), ("first", "<u4"), ("arcs", "<u4"), ("iepsilons", "<u4"), ("oepsilons", "<u4")]
)
_LATTICE_ARC = np.dtype(
    [("ilabel", "<i4"), ("olabel", "<i4"), ("graph", "<f4"), ("acoustic", "<f4"), ("nextstate", "<i4")]
)
_STATE_WORDS, _ARC_WORDS = 4, 5  # of 4 bytes, in a lattice: two costs and a count, and an arc
ARC = np.dtype([("ilabel", "<i4"), ("olabel", "<i4"), ("weight", "<f4"), ("nextstate", "<i4")])


@dataclass
class FstArrays:
    """A weighted transducer; its arcs lie together, state after state.

    Attributes:
        start: The start state, -1 in an empty FST.
        finals: Final costs, float32 ``[states]``; infinite for states that are not final.
        num_arcs: Of each state, int64 ``[states]``.
        arcs: Structured array ``[arcs]`` of ``ilabel olabel weight nextstate``.
    """

    start: int
    finals: np.ndarray[Any, Any]
    num_arcs: np.ndarray[Any, Any]
    arcs: np.ndarray[Any, Any]

    @property
    def sources(self) -> np.ndarray[Any, Any]:
        """The state that each arc leaves, int64 ``[arcs]``."""
        return np.repeat(np.arange(len(self.finals)), self.num_arcs)


def to_arrays(fst: Any) -> FstArrays:
    """Return the states and arcs of a ``StdVectorFst``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fst"
        if not kaldifst.StdConstFst(fst).write(str(path)):
            raise GraphError("the graph cannot be written", where=path, hint="is the disk full?")
        return _parse(path.read_bytes())


def from_arrays(arrays: FstArrays) -> Any:
    """Return the ``StdVectorFst`` that has these states and arcs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fst"
        path.write_bytes(_header(arrays) + _states(arrays).tobytes() + arrays.arcs.tobytes())
        fst = kaldifst.StdConstFst.read(str(path))
    assert fst is not None, "a const FST in OpenFst's binary form"
    return kaldifst.StdVectorFst(fst)


def lattice_to_arrays(lattice: Any, acoustic_scale: float = 1.0) -> FstArrays:
    """Return the states and arcs of a ``Lattice``; its two costs, of graph and acoustics, are added.

    Args:
        lattice: As a decoder gives it.
        acoustic_scale: Factor on the acoustic costs; 0 leaves those of the graph.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fst"
        if not lattice.write(str(path)):
            raise GraphError("the lattice cannot be written", where=path, hint="is the disk full?")
        return _parse_lattice(path.read_bytes(), np.float32(acoustic_scale))


def _parse(content: bytes) -> FstArrays:
    start, num_states, num_arcs, offset = _read_header(content)
    states = np.frombuffer(content, _STATE, num_states, offset)
    arcs = np.frombuffer(content, ARC, num_arcs, offset + states.nbytes)
    return FstArrays(start, states["final"].copy(), states["arcs"].astype(np.int64), arcs.copy())


def _parse_lattice(content: bytes, acoustic_scale: np.float32) -> FstArrays:
    """Read a ``VectorFst``: each state's final cost and number of arcs, then its arcs."""
    start, num_states, _, offset = _read_header(content)
    words = np.frombuffer(content[offset:], np.int32)  # all parts are of 4 bytes, or the 8 of a count
    numbers = memoryview(content)[offset:].cast("i")  # faster than an array to read one by one
    places = np.zeros(num_states, dtype=np.int64)
    place = 0
    for state in range(num_states):
        places[state] = place
        place += _STATE_WORDS + _ARC_WORDS * numbers[place + 2]
    assert place == len(words), "a vector FST in OpenFst's binary form"
    graph, acoustic = words.view(np.float32)[places], words.view(np.float32)[places + 1]
    # An infinite cost stays one beside a factor of 0.
    finals = graph + np.where(np.isfinite(acoustic), acoustic_scale, np.float32(1)) * acoustic
    in_arc = np.ones(len(words), dtype=np.bool_)
    in_arc[(places[:, None] + np.arange(_STATE_WORDS)).reshape(-1)] = False
    read = words[in_arc].view(_LATTICE_ARC)
    arcs = np.zeros(len(read), dtype=ARC)
    for name in ("ilabel", "olabel", "nextstate"):
        arcs[name] = read[name]
    arcs["weight"] = read["graph"] + acoustic_scale * read["acoustic"]
    return FstArrays(start, finals, words[places + 2].astype(np.int64), arcs)


def _read_header(content: bytes) -> tuple[int, int, int, int]:
    """Return start, number of states, number of arcs and where the states begin."""
    (magic,) = struct.unpack_from("<i", content)
    assert magic == _MAGIC, "OpenFst's binary form"
    offset = 4
    for _ in ("type of FST", "type of arcs"):
        (length,) = struct.unpack_from("<i", content, offset)
        offset += 4 + length
    version, flags, _, start, num_states, num_arcs = _TAIL.unpack_from(content, offset)
    # Flags would tell of symbol tables or padding, which the graphs of this project do not have.
    assert (version, flags) == (_VERSION, 0), f"FST of version {version} with flags {flags}"
    return start, num_states, num_arcs, offset + _TAIL.size


def _header(arrays: FstArrays) -> bytes:
    names = b"".join(struct.pack("<i", len(name)) + name for name in (b"const", b"standard"))
    tail = _TAIL.pack(_VERSION, 0, _PROPERTIES, arrays.start, len(arrays.finals), len(arrays.arcs))
    return struct.pack("<i", _MAGIC) + names + tail


def _states(arrays: FstArrays) -> np.ndarray[Any, Any]:
    num_states = len(arrays.finals)
    states = np.zeros(num_states, _STATE)
    states["final"] = arrays.finals
    states["first"] = np.cumsum(arrays.num_arcs) - arrays.num_arcs
    states["arcs"] = arrays.num_arcs
    sources = arrays.sources
    states["iepsilons"] = np.bincount(sources[arrays.arcs["ilabel"] == 0], minlength=num_states)
    states["oepsilons"] = np.bincount(sources[arrays.arcs["olabel"] == 0], minlength=num_states)
    return states
