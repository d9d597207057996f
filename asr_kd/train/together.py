"""Several nets of one shape trained as one: each has a run of its own, and they share a step's products.

A small net does not keep a GPU busy, and launching its many small products costs more than they do. Here
every net's run is that of :class:`~asr_kd.train.loop.Trainer`, with its own batches, dropout, optimiser, dev
frames, log and checkpoint; only the forward and backward passes of a step meet. So the results are those of
training one by one but for rounding, and a run may go on alone where it was begun together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager

import torch

from asr_kd.am.dnn import joint_logits
from asr_kd.data.windows import Batch
from asr_kd.train import distributed
from asr_kd.train.loop import FitResult, Parts, Trainer


def fit_together(trainers: Sequence[Trainer]) -> list[FitResult]:
    """Run the training of several nets in step with each other.

    Args:
        trainers: Not yet begun, on one device and with one precision; their nets are of one shape
            (:func:`asr_kd.am.dnn.can_join`).

    Returns:
        The result of each. A run that is over before the others, or whose batch has another size, takes its
        steps alone.
    """
    runs = [_Run(trainer) for trainer in trainers]
    with ExitStack() as stack:
        for run in runs:
            stack.enter_context(closing(run.steps))
            run.go_on(None)
        while waiting := {run: run.batch for run in runs if run.batch is not None}:
            sizes = {len(batch) for batch in waiting.values()}
            groups = [waiting] if len(sizes) == 1 else [{run: batch} for run, batch in waiting.items()]
            for group in groups:
                _learn_together(group)
    return [run.finished() for run in runs]


class _Run:
    """A trainer with the torch generators that it would have to itself if it ran alone."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.steps = trainer.steps()
        self.batch: Batch | None = None  # that waits for gradients
        self._random = distributed.random_states(trainer.device)
        self._result: FitResult | None = None

    @contextmanager
    def randomness(self) -> Iterator[None]:
        """Draw from the run's own generators within the block."""
        trainer = self.trainer
        distributed.set_random_state(self._random, trainer.device, trainer.seed, trainer.step)
        yield
        self._random = distributed.random_states(trainer.device)

    def go_on(self, parts: Parts | None) -> None:
        """Take the step whose gradients are in the net, or begin, and fetch the next batch."""
        with self.randomness():
            try:
                self.batch = next(self.steps) if parts is None else self.steps.send(parts)
            except StopIteration as end:
                self.batch, self._result = None, end.value

    def finished(self) -> FitResult:
        assert self._result is not None
        return self._result


def _learn_together(batches: dict[_Run, Batch]) -> None:
    windows = torch.stack([batch.windows for batch in batches.values()])
    nets = [run.trainer.net for run in batches]
    with next(iter(batches)).trainer.autocast():
        logits = joint_logits(nets, windows, [run.randomness for run in batches])
    losses = [
        run.trainer.learn(own, batch) for own, (run, batch) in zip(logits, batches.items(), strict=True)
    ]
    torch.autograd.backward([total for total, _ in losses])
    for run, (_, parts) in zip(batches, losses, strict=True):
        run.go_on(parts)
