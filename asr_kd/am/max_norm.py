"""The max-norm constraint: no unit's incoming weights grow beyond a length."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def limit_weight_norms(net: nn.Module, limit: float) -> None:
    """Scale down, in place, the incoming weights of linear layers' units that are longer than a limit.

    Args:
        net: Any net; what is not linear, and biases, are left as they are.
        limit: Greatest L2 norm of a unit's incoming weights, above 0.

    Source: Srivastava et al. 2014, "Dropout", section 5.1; Hinton, Vinyals & Dean 2015, section 3.
    """
    assert limit > 0
    for module in net.modules():
        if isinstance(module, nn.Linear):
            norms = torch.linalg.vector_norm(module.weight, dim=1, keepdim=True)  # [units, 1]
            module.weight.mul_(limit / norms.clamp_min(limit))
