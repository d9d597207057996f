"""Labels utterances with an ensemble: each net's forward pass once, for every temperature and code asked for.

Utterances are labelled together, some thousand frames at a time. The output layers, softmax, mean and choice
of senones take a few hundred rows at once: rows of many senones then stay in the processor's cache from the
product that makes them to the choice of the few that are stored.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from asr_kd.am.checkpoint import AcousticModel
from asr_kd.am.device import Precision
from asr_kd.am.dnn import Dnn
from asr_kd.data.windows import ContextWindow, FramePool
from asr_kd.distill.dense_code import DenseCode
from asr_kd.distill.ensemble import (
    Averaging,
    ensemble_log_posteriors,
    mean_weights,
    tempered_log_posteriors,
)
from asr_kd.distill.fused_mean import is_fused_mean_on, log_mean_softmax
from asr_kd.distill.row_encoder import RowEncoder
from asr_kd.distill.shard_sample import teacher_key
from asr_kd.distill.sparse import CodeConfig, PosteriorCode, make_code
from asr_kd.errors import ModelError

_LOGITS_AT_ONCE = 1 << 22
"""Of one net: 300 rows of 14,000 senones. Matrix products want more rows, caches want fewer."""
_LOGITS_AT_ONCE_ON_GPU = 1 << 26


@dataclass(frozen=True)
class LabelTarget:
    """What is stored of the ensemble.

    Attributes:
        temperature: Of the teachers' softmax.
        code: Of the mean.
        keep_apart: Whether each teacher's own posteriors are coded too.
    """

    temperature: float
    code: CodeConfig
    keep_apart: bool = False


@dataclass(frozen=True)
class CodedPosteriors:
    """One utterance's posteriors as they are stored.

    Attributes:
        mean: Of the ensemble.
        teachers: Of each teacher, when they are kept apart.
    """

    mean: bytes
    teachers: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class ChosenPosteriors:
    """What is stored of some utterances, before it is packed.

    Attributes:
        encoders: Of each target.
        lengths: Frames of each utterance.
        keys: Of each utterance.
    """

    encoders: Sequence[_Encoders]
    lengths: Sequence[int]
    keys: Sequence[str]

    @property
    def is_light(self) -> bool:
        """Whether another process may as well pack it."""
        return all(encoder.mean.is_light for encoder in self.encoders)

    def pack(self) -> list[list[CodedPosteriors]]:
        """Return what is stored of the utterances, for each target."""
        return [each.finish(self.lengths, self.keys) for each in self.encoders]


@dataclass(frozen=True)
class ChosenInGroups:
    """What is stored of utterances that were labelled by different teachers, before it is packed.

    Attributes:
        groups: Of the utterances of each group.
        places: For each group the places of its utterances among all.
    """

    groups: Sequence[ChosenPosteriors]
    places: Sequence[Sequence[int]]

    @property
    def is_light(self) -> bool:
        """Whether another process may as well pack it."""
        return all(group.is_light for group in self.groups)

    def pack(self) -> list[list[CodedPosteriors]]:
        """Return what is stored of the utterances, for each target."""
        order = [place for places in self.places for place in places]
        by_target = zip(*(group.pack() for group in self.groups), strict=True)
        return [
            [coded for _, coded in sorted(zip(order, chain.from_iterable(target), strict=True), key=_place)]
            for target in by_target
        ]


Chosen = ChosenPosteriors | ChosenInGroups


def _place(item: tuple[int, CodedPosteriors]) -> int:
    return item[0]


class Labeller:
    """Labels utterances with the mean of some teachers.

    Args:
        models: The teachers, of one inventory of senones and on one device.
        feature_keys: Of each teacher, under which :meth:`label` finds its input.
        targets: What is coded; the nets run once for all of them.
        averaging: Which mean is taken.
        weights: One a teacher for ``weighted``.
        precision: Of the nets' matrix products and logits; softmax and mean are float32.
    """

    def __init__(
        self,
        models: Sequence[AcousticModel],
        feature_keys: Sequence[str],
        targets: Sequence[LabelTarget],
        averaging: Averaging = "arithmetic",
        weights: Sequence[float] | None = None,
        precision: Precision = "fp32",
    ) -> None:
        self._inputs = [(key, model.card.window) for key, model in zip(feature_keys, models, strict=True)]
        # Logits are made divided by the first target's temperature; others divide them by a ratio.
        self._base = targets[0].temperature
        self._nets = [_Net(model.net, precision, self._base) for model in models]
        self._averaging: Averaging = averaging
        self._weights = weights
        self._shares = mean_weights(len(models), averaging, weights)
        self._targets = list(targets)
        self._num_senones = models[0].card.num_senones
        self._codes = [make_code(target.code, self._num_senones) for target in targets]
        self._device = next(models[0].net.parameters()).device
        self._is_fused = is_fused_mean_on(self._device, self._num_senones)

    def of(self, numbers: Sequence[int]) -> Labeller:
        """Return a labeller with the mean of some teachers, by their numbers from 0; nets are shared."""
        other = copy.copy(self)
        other._inputs = [self._inputs[number] for number in numbers]
        other._nets = [self._nets[number] for number in numbers]
        other._weights = None if self._weights is None else [self._weights[number] for number in numbers]
        other._shares = mean_weights(len(numbers), self._averaging, other._weights)
        return other

    def label(
        self, features: Mapping[str, Sequence[Tensor]], keys: Sequence[str]
    ) -> list[list[CodedPosteriors]]:
        """Return what is stored of some utterances, for each target; see :meth:`choose`."""
        return self.choose(features, keys).pack()

    @torch.inference_mode()
    def choose(self, features: Mapping[str, Sequence[Tensor]], keys: Sequence[str]) -> ChosenPosteriors:
        """Run the nets and choose what is stored of some utterances.

        Args:
            features: For each feature key the features ``[T, D]`` of every utterance, float32.
            keys: Of each utterance, which seed what a code draws.
        """
        lengths = [len(each) for each in next(iter(features.values()))]
        encoders = [
            _Encoders(code, target.temperature / self._base, len(self._nets) if target.keep_apart else 0)
            for target, code in zip(self._targets, self._codes, strict=True)
        ]
        hidden = self._hidden(features)
        at_once = _LOGITS_AT_ONCE if self._device.type == "cpu" else _LOGITS_AT_ONCE_ON_GPU
        num_rows = max(1, at_once // self._num_senones)
        for first in range(0, sum(lengths), num_rows):
            rows = [each[first : first + num_rows] for each in hidden]
            self._label_rows(rows, encoders)
        return ChosenPosteriors(encoders, lengths, keys)

    def _hidden(self, features: Mapping[str, Sequence[Tensor]]) -> list[Tensor]:
        """Return what each net's output layer sees ``[B, H]``; windows are gathered once for all nets."""
        windows: dict[tuple[str, ContextWindow], Tensor] = {}
        hidden = []
        for place, net in zip(self._inputs, self._nets, strict=True):
            if place not in windows:
                # Moved before the gather, which makes 26 frames of each.
                pool = FramePool([each.to(self._device) for each in features[place[0]]], {}, place[1])
                windows[place] = pool.gather(torch.arange(len(pool), device=self._device)).windows
            hidden.append(net.hidden(windows[place]))
        return hidden

    def _label_rows(self, rows: Sequence[Tensor], encoders: Sequence[_Encoders]) -> None:
        if self._is_fused and not any(self._needs_logarithms(each) for each in encoders):
            self._label_rows_together(rows, encoders)
            return
        means = [self._mean(each) for each in encoders]
        for number, (net, hidden) in enumerate(zip(self._nets, rows, strict=True)):
            logits = net.logits(hidden)
            for mean, encoder in zip(means, encoders, strict=True):
                mean.add(logits)
                encoder.add_teacher(number, logits)
        for mean, encoder in zip(means, encoders, strict=True):
            encoder.mean.add(_finite(mean.log_q()))

    def _label_rows_together(self, rows: Sequence[Tensor], encoders: Sequence[_Encoders]) -> None:
        """Keep all nets' logits, from which one kernel makes a mean."""
        shape = len(self._nets), len(rows[0]), self._num_senones
        logits = torch.empty(shape, dtype=self._nets[0].dtype, device=self._device)
        for number, (net, hidden) in enumerate(zip(self._nets, rows, strict=True)):
            net.logits(hidden, out=logits[number])
        for encoder in encoders:
            encoder.mean.add(_finite(log_mean_softmax(logits, self._shares, encoder.ratio)))
            for number, own in enumerate(logits):
                encoder.add_teacher(number, own)

    def _needs_logarithms(self, encoder: _Encoders) -> bool:
        return self._averaging == "geometric" or len(self._nets) == 1 or encoder.needs_far_tail

    def _mean(self, encoder: _Encoders) -> _LinearMean | _LogMean:
        if self._needs_logarithms(encoder):
            return _LogMean(encoder.ratio, self._averaging, self._weights)
        return _LinearMean(encoder.ratio, self._shares)


def _finite(log_q: Tensor) -> Tensor:
    """Return rows of log posteriors.

    Raises:
        ModelError: When a row holds NaN, as from weights or features that do.
    """
    if not bool(torch.isfinite(log_q.amax(1)).all()):
        raise ModelError(
            "the teachers' posteriors are not finite", hint="look for NaN in features and weights"
        )
    return log_q


class _Net:
    """A net cut before its output layer, where rows grow from hundreds of values to thousands.

    Args:
        net: In evaluation mode.
        precision: Of the matrix products.
        temperature: The logits are divided by it, as a part of the output layer's product.
    """

    def __init__(self, net: nn.Module, precision: Precision, temperature: float) -> None:
        self._is_half = precision == "bf16"
        self._device_type = next(net.parameters()).device.type
        self._temperature = temperature
        self._trunk: nn.Module | None = None
        if isinstance(net, Dnn):
            # Converted once; autocast would do it at every call.
            self._trunk = copy.deepcopy(net.hidden).bfloat16() if self._is_half else net.hidden
            weight, bias = (part.detach() / temperature for part in net.output.parameters())
            self._bias: Tensor | None = None
            if self._device_type == "cpu":
                # The bias is one more column: added by itself, it would cost a pass over all logits.
                weight = torch.cat([weight, bias[:, None]], dim=1)
            else:
                # A GPU adds it within the product, and slows down for rows that are no multiple of 16 bytes.
                self._bias = bias.to(self.dtype)
            self._output = weight.to(
                self.dtype
            ).T.contiguous()  # [H or H + 1, S], as the product reads it fastest
        else:
            self._net = net

    def hidden(self, windows: Tensor) -> Tensor:
        """Return the last hidden layer ``[B, H]``, with ones where the bias is a column; else the windows."""
        if self._trunk is None:
            return windows
        values = windows.flatten(1)
        units: Tensor = self._trunk(values.bfloat16() if self._is_half else values)
        return units if self._bias is not None else torch.cat([units, units.new_ones(len(units), 1)], dim=1)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the logits of a net whose layers are known."""
        return torch.bfloat16 if self._is_half else torch.float32

    def logits(self, hidden: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the logits ``[R, S]`` of some rows, divided by the temperature, also in a tensor given."""
        if self._trunk is not None and self._bias is not None:
            return torch.addmm(self._bias, hidden, self._output, out=out)
        if self._trunk is not None:
            return torch.mm(hidden, self._output, out=out)
        with torch.autocast(self._device_type, torch.bfloat16, enabled=self._is_half):
            logits: Tensor = self._net(hidden)
        scaled = logits / self._temperature
        return scaled if out is None else out.copy_(scaled)


class _LogMean:
    """The mean in the log domain, which keeps the smallest posteriors; all nets' logits are in memory."""

    def __init__(self, temperature: float, averaging: Averaging, weights: Sequence[float] | None) -> None:
        self._mean: Callable[[Sequence[Tensor]], Tensor] = lambda logits: ensemble_log_posteriors(
            logits, temperature, averaging, weights
        )
        self._logits: list[Tensor] = []

    def add(self, logits: Tensor) -> None:
        self._logits.append(logits)

    def log_q(self) -> Tensor:
        return self._mean(self._logits)


class _LinearMean:
    """The weighted sum of the nets' softmax, in the fewest passes over the rows.

    Posteriors below float32's least number become 0 and their logarithm -inf: no code but the dense one
    stores them.
    """

    def __init__(self, temperature: float, shares: Sequence[float]) -> None:
        self._temperature = temperature
        self._shares = iter(shares)
        self._total: Tensor | None = None

    def add(self, logits: Tensor) -> None:
        scaled = logits if self._temperature == 1 else logits / self._temperature
        q = torch.softmax(scaled.float(), dim=1)
        share = next(self._shares)
        self._total = q.mul_(share) if self._total is None else self._total.add_(q, alpha=share)

    def log_q(self) -> Tensor:
        assert self._total is not None
        return self._total.log_()


class _Encoders:
    """Of one target: of the mean and, where teachers are kept apart, of each teacher.

    Args:
        code: Of the posteriors.
        ratio: By which the rows are still to be divided.
        num_apart: Teachers that are kept apart.
    """

    def __init__(self, code: PosteriorCode, ratio: float, num_apart: int) -> None:
        self.ratio = ratio
        self.needs_far_tail = isinstance(code, DenseCode)
        self.mean: RowEncoder = code.rows()
        self._teachers = [code.rows() for _ in range(num_apart)]

    def add_teacher(self, number: int, logits: Tensor) -> None:
        if self._teachers:
            self._teachers[number].add(tempered_log_posteriors(logits, self.ratio))

    def finish(self, lengths: Sequence[int], keys: Sequence[str]) -> list[CodedPosteriors]:
        apart = [
            each.finish(lengths, [teacher_key(key, number) for key in keys])
            for number, each in enumerate(self._teachers)
        ]
        means = self.mean.finish(lengths, keys)
        teachers = zip(*apart, strict=True) if apart else ((),) * len(means)
        return [CodedPosteriors(mean, tuple(each)) for mean, each in zip(means, teachers, strict=True)]
