"""The ``asr-kd`` command."""

from asr_kd.cli.app import main

__all__ = ["main"]
