"""The ``asr-kd`` command."""

from asr_kd.openmp import let_waiting_threads_sleep

__all__ = ["main"]


def main() -> None:
    """Run the command line; see :func:`asr_kd.cli.app.main`."""
    let_waiting_threads_sleep()
    from asr_kd.cli.app import main as run  # brings torch, which reads OpenMP's settings once

    run()
