"""MNIST's idx files: what is read, how it is split, and files that are something else."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from asr_kd.data.frame_store import FrameStore
from asr_kd.errors import ConfigError, CorpusError
from data_prep.mnist import FILES, HOME, Options, prepare, read_idx
from data_prep.registry import load_image_module
from tests.support.idx_corpus import NUM_TRAIN, SIDE, images_of, write_corpus, write_idx


def test_splits_and_blocks(tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = prepare(write_corpus(tmp_path / "corpus"), out, Options(num_dev=100, num_test=50))
    assert summary == json.loads((out / "corpus.json").read_text())
    assert (summary["height"], summary["width"], summary["num_classes"]) == (SIDE, SIDE, 10)
    assert {split: sum(counts) for split, counts in summary["class_counts"].items()} == {
        "train": 300,
        "dev": 100,
        "test": 50,
    }
    images, labels = FrameStore(out / "images" / "train"), FrameStore(out / "labels" / "train")
    assert images.utt_ids == labels.utt_ids == [f"train-{label}-000" for label in range(10)]
    assert set(labels.get("train-3-000").tolist()) == {3}
    # The first image of class 3 is number 9: 9 * 7 % 10 = 3.
    expected = images_of(np.arange(NUM_TRAIN) * 7 % 10, 1)[9].reshape(-1)
    assert images.get("train-3-000")[0].tolist() == expected.tolist()


def test_files_may_be_unpacked_and_dev_may_be_learnt_from(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "MNIST" / "raw", packed=False)
    assert corpus.name == "raw"
    summary = prepare(tmp_path, tmp_path / "out", Options(num_dev=100, learn_from_dev=True))
    assert sum(summary["class_counts"]["train"]) == NUM_TRAIN
    assert sum(summary["class_counts"]["dev"]) == 100


def test_wrong_files_are_refused_by_name(tmp_path: Path) -> None:
    def refused(message: str) -> None:
        with pytest.raises(CorpusError, match=message):
            prepare(corpus, tmp_path / "out", Options(num_dev=100))
        assert not (tmp_path / "out").exists()
        write_corpus(corpus)

    corpus = write_corpus(tmp_path / "corpus")
    images, labels = corpus / "train-images-idx3-ubyte.gz", corpus / "train-labels-idx1-ubyte.gz"
    labels.unlink()
    refused(r"the folder is not MNIST; .*got no train-labels-idx1-ubyte or train-labels-idx1-ubyte.gz")
    images.write_bytes(labels.read_bytes())
    refused(r"train-images-idx3-ubyte.gz: not an idx file of bytes in 3 .*00 00 08 03, got 00 00 08 01")
    images.write_bytes(images.read_bytes()[:2000])
    refused(r"train-images-idx3-ubyte.gz: damaged")
    images.write_bytes(gzip.compress(gzip.decompress(images.read_bytes())[:-5]))
    refused(r"train-images-idx3-ubyte.gz: cut off, .*expected 57600 bytes after the header, got 57595")
    labels.write_bytes((corpus / "t10k-labels-idx1-ubyte.gz").read_bytes())
    refused(r"train-labels-idx1-ubyte.gz: as many labels as images .*expected 400, got 100")
    write_idx(labels, np.full(NUM_TRAIN, 11), packed=True)
    refused(r"train-labels-idx1-ubyte.gz: labels that are no digits")
    write_idx(corpus / "t10k-images-idx3-ubyte.gz", np.zeros((100, 8, 8)), packed=True)
    refused("test images of another size")
    with pytest.raises(CorpusError, match="no such corpus folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out", Options())
    with pytest.raises(ConfigError, match="num_dev leaves nothing to train on; expected fewer than 400"):
        prepare(corpus, tmp_path / "out", Options(num_dev=400))


def test_without_corpus_and_network_both_ways_are_named(tmp_path: Path) -> None:
    assert HOME.startswith("https://")
    assert all(len(sha256) == 64 for sha256 in FILES.values())
    with pytest.raises(CorpusError, match=r"MNIST cannot be downloaded.*--corpus DIR.*network"):
        prepare(None, tmp_path, Options())


def test_a_text_is_no_idx_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("<html>not found</html>")
    with pytest.raises(CorpusError, match=r"a: not an idx file .*got 3c 68 74 6d"):
        read_idx(tmp_path / "a", 3)


def test_images_are_found_by_name() -> None:
    assert load_image_module("mnist").options_type is Options
    with pytest.raises(ConfigError, match='unknown corpus "yesno"; expected mnist'):
        load_image_module("yesno")


def test_the_shared_copy_is_mnist(shared_data: Path) -> None:
    images = read_idx(shared_data / "mnist" / "t10k-images-idx3-ubyte.gz", 3)
    labels = read_idx(shared_data / "mnist" / "t10k-labels-idx1-ubyte.gz", 1)
    assert images.shape == (10_000, 28, 28)
    # The paper: 1,010 of the test images are threes.
    assert int((labels == 3).sum()) == 1010
