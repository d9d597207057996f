"""How long OpenMP's threads spin for each other; must be settled before torch is imported."""

from __future__ import annotations

import os

# Some microseconds, about what a quiet core needs for its part of a small product: with a thousand, nets
# were up to a tenth slower there. GNU's own 300,000 use up the turn that the scheduler gives, so that on busy
# cores a net of few units became twenty times slower (benchmarks/README.md, Threads beside busy processes).
_SPINS = "3000"


def let_waiting_threads_sleep() -> None:
    """Make threads that wait for another one give their core away early, in this process and those it starts.

    A user's ``GOMP_SPINCOUNT`` or ``OMP_WAIT_POLICY`` stays as it is. Without effect once torch is loaded,
    and on systems whose torch comes with another OpenMP than GNU's.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
