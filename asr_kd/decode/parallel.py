"""Decoding of many utterances, in this process or in several."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from asr_kd import errors
from asr_kd.decode.beam import DecodeConfig, Hypothesis
from asr_kd.decode.worker import GraphDecoder, write_request
from asr_kd.errors import AsrKdError, ConfigError, GraphError

# Utterances that wait or are being decoded, for each process: bounds memory, keeps all busy.
_WAITING_PER_PROCESS = 2
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Item = tuple[str, np.ndarray[Any, Any]]


class _Decoder(Protocol):
    def decode(self, log_likelihoods: np.ndarray[Any, Any], config: DecodeConfig) -> Hypothesis: ...


def decode_all(
    graph_folder: Path, items: Iterable[Item], config: DecodeConfig | None = None, num_processes: int = 1
) -> Iterator[tuple[str, Hypothesis]]:
    """Yield the hypothesis of each utterance, in the order of the input.

    Args:
        graph_folder: Where :func:`asr_kd.decode.graph.save_graph` wrote.
        items: utt_id and log-likelihoods ``[T, S]``; read only as far ahead as the processes need.
        config: Settings of the search.
        num_processes: 1 decodes in this process.

    Raises:
        GraphError: No whole graph is in the folder.
        ModelError: A matrix does not fit the graph, or holds NaN; names the utt_id.
    """
    with DecoderPool(graph_folder, num_processes) as pool:
        yield from pool.decode(items, config or DecodeConfig())


class DecoderPool:
    """Processes that have loaded a graph and decode with changing settings; a context manager.

    Args:
        graph_folder: Where :func:`asr_kd.decode.graph.save_graph` wrote.
        num_processes: 1 decodes in this process.

    Raises:
        ConfigError: The number of processes is below 1.
        GraphError: No whole graph is in the folder.
    """

    def __init__(self, graph_folder: Path, num_processes: int = 1) -> None:
        if num_processes < 1:
            raise ConfigError("num_processes is below 1", got=num_processes)
        self._idle: queue.SimpleQueue[_Decoder] = queue.SimpleQueue()
        self._processes: list[_DecoderProcess] = []
        self._executor: ThreadPoolExecutor | None = None
        self._max_waiting = _WAITING_PER_PROCESS * num_processes
        if num_processes == 1:
            self._idle.put(GraphDecoder(graph_folder))
            return
        self._executor = ThreadPoolExecutor(num_processes)
        try:
            for _ in range(num_processes):
                self._processes.append(_DecoderProcess(graph_folder))
            for process in self._processes:
                process.wait_for_graph()
                self._idle.put(process)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> DecoderPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.end()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def decode(self, items: Iterable[Item], config: DecodeConfig) -> Iterator[tuple[str, Hypothesis]]:
        """Yield the hypothesis of each utterance, in the order of the input; see :func:`decode_all`."""
        if self._executor is None:
            for utt_id, log_likelihoods in items:
                yield utt_id, self._decode_one(utt_id, log_likelihoods, config)
            return
        waiting: deque[tuple[str, Future[Hypothesis]]] = deque()
        try:
            for utt_id, log_likelihoods in items:
                if len(waiting) >= self._max_waiting:
                    yield _result_of(waiting)
                waiting.append(
                    (utt_id, self._executor.submit(self._decode_one, utt_id, log_likelihoods, config))
                )
            while waiting:
                yield _result_of(waiting)
        finally:
            for _, future in waiting:
                future.cancel()

    def _decode_one(
        self, utt_id: str, log_likelihoods: np.ndarray[Any, Any], config: DecodeConfig
    ) -> Hypothesis:
        decoder = self._idle.get()
        try:
            return decoder.decode(log_likelihoods, config)
        except AsrKdError as error:
            raise _located(error, utt_id) from None
        finally:
            self._idle.put(decoder)


def _result_of(waiting: deque[tuple[str, Future[Hypothesis]]]) -> tuple[str, Hypothesis]:
    utt_id, future = waiting.popleft()
    return utt_id, future.result()


def _located(error: AsrKdError, utt_id: str) -> AsrKdError:
    return type(error)(error.what, where=utt_id, expected=error.expected, got=error.got, hint=error.hint)


class _DecoderProcess:
    """The caller's end of one :mod:`asr_kd.decode.worker`."""

    def __init__(self, graph_folder: Path) -> None:
        # The process finds the package where this one did, installed or not.
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        environment = {**os.environ, "PYTHONPATH": path, **dict.fromkeys(_THREAD_VARIABLES, "1")}
        self._process = subprocess.Popen(  # noqa: S603 # this interpreter and a module of this package
            [sys.executable, "-P", "-m", "asr_kd.decode.worker", str(graph_folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests = self._process.stdin
        self._answers = self._process.stdout

    def wait_for_graph(self) -> None:
        """Return when the process is ready."""
        self._answer()

    def decode(self, log_likelihoods: np.ndarray[Any, Any], config: DecodeConfig) -> Hypothesis:
        """Return the best hypothesis of a matrix ``[T, S]``."""
        if log_likelihoods.ndim != 2:
            raise errors.ModelError(
                "log-likelihoods are no matrix", expected="[T, S]", got=log_likelihoods.shape
            )
        try:
            write_request(self._requests, log_likelihoods, config)
        except BrokenPipeError:
            raise self._death() from None
        fields = self._answer()
        return Hypothesis(tuple(fields["words"]), fields["cost"], fields["reached_final"])

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise self._death()
        fields: dict[str, Any] = json.loads(line)
        if "error" in fields:
            raise _rebuilt(fields["error"])
        return fields

    def _death(self) -> AsrKdError:
        return GraphError(
            "a decoding process ended",
            got=f"exit status {self._process.wait()}",
            hint="its message stands above; -9 means that memory ran out: use fewer processes",
        )

    def end(self) -> None:
        """End the process, whatever it is doing; it holds nothing that must be kept."""
        self._process.terminate()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._requests.close()
        self._answers.close()


def _rebuilt(fields: dict[str, Any]) -> AsrKdError:
    """Return the error that a decoding process met."""
    kind = getattr(errors, fields.pop("kind"), AsrKdError)
    assert issubclass(kind, AsrKdError)
    error: AsrKdError = kind(fields.pop("what"), **fields)
    return error
