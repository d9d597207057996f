"""MNIST (LeCun, Cortes, Burges): 60,000 + 10,000 images of handwritten digits in four idx files."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from asr_kd.atomic import write_json
from asr_kd.data.frame_store import FrameStoreWriter
from asr_kd.errors import ConfigError, CorpusError
from data_prep.common import CorpusOptions
from data_prep.download import cache_folder, download

HOME = "https://ossci-datasets.s3.amazonaws.com/mnist"
"""The mirror that torchvision reads; the files are those of their former home, yann.lecun.com."""

# SHA-256 of the gzip files as their publisher packed them.
FILES = {
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
NUM_CLASSES = 10
BLOCK_IMAGES = 1000
_UNSIGNED_BYTE = 8

Images = NDArray[np.uint8]


class Options(CorpusOptions):
    """Options of the MNIST corpus.

    Attributes:
        num_dev: So many of the last training images are dev.
        learn_from_dev: Whether the dev images are in train as well: for a last run, with settings that were
            chosen without.
        num_train: Only so many of the training images before dev; for trials.
        num_test: Only so many of the test images; for trials.
    """

    num_dev: int = Field(10_000, ge=1)
    learn_from_dev: bool = False
    num_train: int | None = Field(None, ge=1)
    num_test: int | None = Field(None, ge=1)


def prepare(corpus: Path | None, out: Path, options: Options) -> dict[str, Any]:
    """Write ``images/`` and ``labels/`` from a folder of the idx files (gzip or not) or a download.

    Each holds a :class:`~asr_kd.data.frame_store.FrameStore` for train, dev and test: images uint8
    ``[N, height * width]``, labels int32 ``[N]``. What speech calls an utterance is a block of images of one
    class, named ``train-3-000``.

    Returns:
        What ``corpus.json`` says: image size, number of classes, images of each class by split.

    Raises:
        CorpusError: Naming the file that is missing, damaged or another one than its name says.
        ConfigError: When dev would take all that there is to train on.
    """
    folder = _download() if corpus is None else corpus
    images, labels = _read_pair(folder, "train")
    test_images, test_labels = _read_pair(folder, "t10k")
    if test_images.shape[1:] != images.shape[1:]:
        raise CorpusError(
            "test images of another size",
            where=folder,
            expected=images.shape[1:],
            got=test_images.shape[1:],
        )
    if options.num_dev >= len(images):
        raise ConfigError(
            "num_dev leaves nothing to train on",
            where="mnist",
            expected=f"fewer than {len(images)}",
            got=options.num_dev,
        )
    first_dev = len(images) - options.num_dev
    train = np.arange(len(images)) if options.learn_from_dev else np.arange(first_dev)
    splits = {
        "train": (images[train][: options.num_train], labels[train][: options.num_train]),
        "dev": (images[first_dev:], labels[first_dev:]),
        "test": (test_images[: options.num_test], test_labels[: options.num_test]),
    }
    for split, (split_images, split_labels) in splits.items():
        _write_split(out, split, split_images, split_labels)
    summary = {
        "name": "mnist",
        "source": "MNIST, LeCun, Cortes & Burges",
        "licence": "freely distributed",
        "options": options.model_dump(mode="json"),
        "height": images.shape[1],
        "width": images.shape[2],
        "num_classes": NUM_CLASSES,
        "class_counts": {
            split: np.bincount(split_labels, minlength=NUM_CLASSES).tolist()
            for split, (_, split_labels) in splits.items()
        },
    }
    write_json(out / "corpus.json", summary)
    return summary


def read_idx(path: Path, num_dimensions: int) -> Images:
    """Return the array of an idx file of unsigned bytes, packed with gzip or not.

    Args:
        path: The file.
        num_dimensions: That it must have: 3 for images, 1 for labels.

    Raises:
        CorpusError: When it is damaged or holds something else.

    Source: the description of the idx format on MNIST's home page.
    """
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise CorpusError(f"damaged ({error})", where=path, hint="get it again") from None
    header = 4 + 4 * num_dimensions
    magic = bytes((0, 0, _UNSIGNED_BYTE, num_dimensions))
    if data[:4] != magic or len(data) < header:
        raise CorpusError(
            f"not an idx file of bytes in {num_dimensions} dimensions",
            where=path,
            expected=f"first bytes {magic.hex(' ')}",
            got=data[:4].hex(" ") or "an empty file",
        )
    shape = tuple(np.frombuffer(data, ">u4", num_dimensions, offset=4).tolist())
    if len(data) - header != int(np.prod(shape)):
        raise CorpusError(
            "cut off, or longer than its header says",
            where=path,
            expected=f"{int(np.prod(shape))} bytes after the header",
            got=len(data) - header,
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _read_pair(folder: Path, part: str) -> tuple[Images, Images]:
    images_path = _find(folder, f"{part}-images-idx3-ubyte")
    labels_path = _find(folder, f"{part}-labels-idx1-ubyte")
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if len(images) != len(labels):
        raise CorpusError(
            f"as many labels as images in {images_path.name}",
            where=labels_path,
            expected=len(images),
            got=len(labels),
        )
    if not len(labels) or labels.max() >= NUM_CLASSES:
        raise CorpusError(
            "labels that are no digits", where=labels_path, expected="0 to 9", got=f"{len(labels)} labels"
        )
    return images, labels


def _find(folder: Path, name: str) -> Path:
    if not folder.is_dir():
        raise CorpusError("no such corpus folder", where=folder, hint="give the folder of MNIST's idx files")
    # torchvision unpacks the files below MNIST/raw; others write a dot before "idx".
    candidates = [
        place / form
        for place in (folder, folder / "MNIST" / "raw", folder / "raw")
        for form in (name, f"{name}.gz", name.replace("-idx", ".idx"), name.replace("-idx", ".idx") + ".gz")
    ]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise CorpusError(
            "the folder is not MNIST",
            where=folder,
            expected=", ".join(f"{known}.gz" for known in FILES),
            got=f"no {name} or {name}.gz",
        )
    return found


def _download() -> Path:
    folder = cache_folder() / "mnist"
    for name, sha256 in FILES.items():
        path = folder / f"{name}.gz"
        if not path.is_file():
            download(f"{HOME}/{path.name}", path, sha256=sha256, corpus="MNIST")
    return folder


def _write_split(out: Path, split: str, images: Images, labels: Images) -> None:
    num_pixels = images.shape[1] * images.shape[2]
    for name, shape, dtype in (("images", (num_pixels,), "uint8"), ("labels", (), "int32")):
        folder = out / name / split
        folder.mkdir(parents=True)
        with FrameStoreWriter(folder, dtype, shape) as writer:
            for block, rows in _blocks(split, labels):
                frames = images[rows].reshape(len(rows), -1) if name == "images" else labels[rows]
                writer.add(block, frames)


def _blocks(split: str, labels: Images) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the name and the images of blocks of one class each, in the order of the files."""
    for label in range(NUM_CLASSES):
        rows = np.flatnonzero(labels == label)
        for number, first in enumerate(range(0, len(rows), BLOCK_IMAGES)):
            yield f"{split}-{label}-{number:03}", rows[first : first + BLOCK_IMAGES]
