"""A small corpus of images in MNIST's four idx files, made by the tests."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

NUM_TRAIN, NUM_TEST = 400, 100
SIDE = 12


def write_idx(path: Path, array: np.ndarray, *, packed: bool = False) -> None:
    """Write an array of bytes as an idx file."""
    data = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    data += array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data, mtime=0) if packed else data)


def images_of(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return images whose class is the place of a bright bar, in noise."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 60, (len(labels), SIDE, SIDE))
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 5)
        image[3 * row + 2 : 3 * row + 5, 2 * column + 1 : 2 * column + 3] += 180
    return images


def write_corpus(folder: Path, *, packed: bool = True) -> Path:
    """Write the four files into a folder, gzipped or not, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, num, seed in (("train", NUM_TRAIN, 1), ("t10k", NUM_TEST, 2)):
        labels = np.arange(num) * 7 % 10
        end = ".gz" if packed else ""
        write_idx(folder / f"{part}-images-idx3-ubyte{end}", images_of(labels, seed), packed=packed)
        write_idx(folder / f"{part}-labels-idx1-ubyte{end}", labels, packed=packed)
    return folder
