"""A decoding process: reads matrices from standard input, writes hypotheses to standard output.

``python -m asr_kd.decode.worker GRAPH_FOLDER`` is started by :mod:`asr_kd.decode.parallel`. It is a program
of its own and not a multiprocessing child, so that it never imports the caller's main module, and torch with
it. A request is a line of JSON (``num_frames``, ``num_pdfs``, the fields of ``DecodeConfig``) and the float32
matrix; an answer is a line of JSON: the fields of a ``Hypothesis``, or ``error``. The first answer says that
the graph is loaded.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from asr_kd.decode.beam import DecodeConfig, Hypothesis, decode_utterance
from asr_kd.decode.graph import DecodingGraph, load_graph, with_insertion_penalty
from asr_kd.errors import AsrKdError


class GraphDecoder:
    """Decodes with the graph of a folder, whatever the insertion penalty.

    Args:
        folder: Where :func:`asr_kd.decode.graph.save_graph` wrote.

    Raises:
        GraphError: No whole graph is there.
    """

    def __init__(self, folder: Path) -> None:
        self._plain = load_graph(folder)
        self._penalty = 0.0
        self._penalised: DecodingGraph = self._plain

    def decode(self, log_likelihoods: np.ndarray[Any, Any], config: DecodeConfig) -> Hypothesis:
        """Return the best hypothesis of a matrix ``[T, S]``."""
        if config.insertion_penalty != self._penalty:
            self._penalised = with_insertion_penalty(self._plain, config.insertion_penalty)
            self._penalty = config.insertion_penalty
        return decode_utterance(
            self._penalised, log_likelihoods, config.acoustic_scale, config.beam, config.max_active
        )


def write_request(stream: IO[bytes], log_likelihoods: np.ndarray[Any, Any], config: DecodeConfig) -> None:
    """Send one matrix ``[T, S]`` to a decoding process."""
    num_frames, num_pdfs = log_likelihoods.shape
    header = {"num_frames": num_frames, "num_pdfs": num_pdfs, "config": asdict(config)}
    stream.write(json.dumps(header).encode() + b"\n")
    stream.write(np.ascontiguousarray(log_likelihoods, dtype="<f4").tobytes())
    stream.flush()


def _read_request(stream: IO[bytes]) -> tuple[np.ndarray[Any, Any], DecodeConfig] | None:
    line = stream.readline()
    if not line:
        return None
    header = json.loads(line)
    shape = header["num_frames"], header["num_pdfs"]
    num_bytes = 4 * shape[0] * shape[1]
    content = stream.read(num_bytes)
    if len(content) < num_bytes:  # the caller has gone
        return None
    return np.frombuffer(content, "<f4").reshape(shape), DecodeConfig(**header["config"])


def _error_fields(error: AsrKdError) -> dict[str, str | None]:
    shown = {name: getattr(error, name) for name in ("what", "where", "expected", "got", "hint")}
    fields = {name: None if value is None else str(value) for name, value in shown.items()}
    return {"kind": type(error).__name__, **fields}


def _serve(folder: Path, requests: IO[bytes], answers: IO[bytes]) -> None:
    def answer(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value).encode() + b"\n")
        answers.flush()

    try:
        decoder = GraphDecoder(folder)
    except AsrKdError as error:
        answer({"error": _error_fields(error)})
        return
    answer({})
    while (request := _read_request(requests)) is not None:
        try:
            answer(asdict(decoder.decode(*request)))
        except AsrKdError as error:
            answer({"error": _error_fields(error)})


def main() -> None:
    """Serve until standard input ends."""
    # Ctrl-C reaches the whole process group; the caller closes the pipe, which ends this process too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve(Path(sys.argv[1]), sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
