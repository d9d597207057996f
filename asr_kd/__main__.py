"""``python -m asr_kd``: the command line, as ``torchrun -m asr_kd`` starts it."""

from asr_kd.cli import main

if __name__ == "__main__":
    main()
