"""Where independent work runs: in processes of this machine, or as tasks of a Ray cluster."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import torch

from asr_kd.errors import ConfigError, StageError
from asr_kd.progress import say, use_plain_lines
from asr_kd.train import distributed

_RETRIES = 3

Result = TypeVar("Result")


class LauncherName(StrEnum):
    """What farms out independent work."""

    LOCAL = "local"
    RAY = "ray"


class RayCluster:
    """A Ray cluster that this process has joined.

    Args:
        ray: The module; the process is connected.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def run(
        self,
        function: Callable[..., Result],
        arguments: Sequence[tuple[Any, ...]],
        cores: int | None = None,
        with_gpu: bool = False,
    ) -> list[Result]:
        """Call a function once for each tuple of arguments, each call a task of its own.

        A task whose process or machine dies is started again, a few times; it finds what it had written in
        the folders that all machines share.

        Args:
            function: Of a module that every machine can import.
            arguments: One tuple a call.
            cores: Of a task; None shares the cluster's cores out.
            with_gpu: Whether each task has a GPU to itself, where the cluster has any.

        Returns:
            The results in the order of the arguments.

        Raises:
            StageError: When the process of a task died again and again.
        """
        cores = self._cores(len(arguments)) if cores is None else cores
        num_gpus = 1 if with_gpu and self._ray.cluster_resources().get("GPU", 0) >= 1 else 0
        task = self._ray.remote(_in_task).options(num_cpus=cores, num_gpus=num_gpus, max_retries=_RETRIES)
        waiting = [task.remote(str(Path.cwd()), cores, function, each) for each in arguments]
        try:
            results: list[Result] = self._ray.get(waiting)
        except BaseException as error:
            # The others need not be waited for: they go on from their checkpoints the next time.
            for reference in waiting:
                self._ray.cancel(reference, force=True)
            raise self._plain(error) from None
        return results

    def _cores(self, num_tasks: int) -> int:
        """Return a task's share of the cluster, no more than the smallest machine has."""
        machines = [node["Resources"].get("CPU", 0) for node in self._ray.nodes() if node["Alive"]]
        smallest = min((count for count in machines if count >= 1), default=1)
        return max(1, int(min(sum(machines) // max(1, num_tasks), smallest)))

    def _plain(self, error: BaseException) -> BaseException:
        """Return what a task itself raised."""
        if isinstance(error, self._ray.exceptions.RayTaskError):
            cause: BaseException = error.cause
            return cause
        if isinstance(error, self._ray.exceptions.RayError):
            return StageError(
                "a task of the Ray cluster was lost",
                got=f"{type(error).__name__}: {error}",
                hint="run the same command again; what is trained is kept, nets go on from their checkpoints",
            )
        return error


def _in_task(folder: str, threads: int, function: Callable[..., Result], each: tuple[Any, ...]) -> Result:
    if not Path(folder).is_dir():
        raise ConfigError(
            "a machine of the Ray cluster does not see the folder of the run",
            where=folder,
            got=f"none on {os.uname().nodename}",
            hint="start the run in a folder that all machines share, with the work folder below it",
        )
    os.chdir(folder)
    torch.set_num_threads(threads)
    use_plain_lines()
    return function(*each)


_cluster: RayCluster | None = None


def cluster() -> RayCluster | None:
    """Return the cluster that independent work goes to; None for this machine."""
    return _cluster


@contextmanager
def launcher(name: LauncherName) -> Iterator[None]:
    """Farm out independent work within the block.

    ``ray`` joins the cluster of ``RAY_ADDRESS`` or that of this machine, and starts one of this machine's
    cores where there is none.

    Raises:
        ConfigError: Ray is not installed, its cluster does not answer, or ``torchrun`` started this process.
    """
    global _cluster  # noqa: PLW0603  # of the process, as torch's process group is
    if name is LauncherName.LOCAL:
        yield
        return
    if distributed.world_size() > 1:
        raise ConfigError(
            "--launcher ray under torchrun",
            hint="torchrun trains each net on all ranks, Ray each net on a machine: take one of them",
        )
    ray = _import_ray()
    # Its processes find packages where this one did, installed or not.
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    try:
        ray.init(include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": path}})
    except (ConnectionError, ValueError) as error:
        raise ConfigError(
            "no Ray cluster answers",
            where=f"RAY_ADDRESS {os.environ.get('RAY_ADDRESS', '')}",
            got=error,
            hint="start it with: ray start --head",
        ) from error
    resources = ray.cluster_resources()
    say(f"Ray: {resources.get('CPU', 0):g} cores, {resources.get('GPU', 0):g} GPUs")
    _cluster = RayCluster(ray)
    try:
        yield
    finally:
        _cluster = None
        ray.shutdown()


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    try:
        return import_module("ray")
    except ImportError as error:
        raise ConfigError(
            "--launcher ray needs the package ray", hint="pip install 'asr-kd[ray]' on every machine"
        ) from error
