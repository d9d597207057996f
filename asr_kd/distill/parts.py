"""Numbers that belong to parts of a row of elements: which part an element is in, and sums within a part.

No function here waits for a GPU.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def part_of_each(first: Tensor, num_elements: int) -> Tensor:
    """Return the number of the part that each element is in, int32 ``[E]``.

    A mark where a part begins and a running sum: unlike repetition it branches on no length.

    Args:
        first: Where each part begins, the first one at 0; no part is empty.
        num_elements: E.
    """
    marks = torch.zeros(num_elements, dtype=torch.uint8, device=first.device)
    marks.index_fill_(0, first.long(), 1)
    marks[:1] = 0
    return marks.cumsum(0, dtype=torch.int32)


def exclusive_sums(lengths: Tensor) -> Tensor:
    """Return the sum of all numbers before each, int32."""
    return lengths.cumsum(0, dtype=torch.int32) - lengths


def restarted_sums(steps: Tensor, first: Tensor, part: Tensor) -> Tensor:
    """Return the running sums of each part, int32 ``[E]``.

    Args:
        steps: What is summed, ``[E]``.
        first: Where each part begins ``[P]``.
        part: That each element is in ``[E]``.
    """
    total = steps.cumsum(0, dtype=torch.int32)
    before = functional.pad(total, (1, 0)).index_select(0, first)
    return total - before.index_select(0, part)


def utterance_of_each(counts: Tensor, num_elements: int) -> Tensor:
    """Return the number of the utterance of each element, int32; utterances may have none.

    Args:
        counts: Elements of each utterance.
        num_elements: Their sum, which is known without waiting for the device.
    """
    numbers = torch.arange(len(counts), dtype=torch.int32, device=counts.device)
    return numbers.repeat_interleave(counts, output_size=num_elements)
