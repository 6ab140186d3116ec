"""IDX files, and the data sets made of them."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets import mnist
from pipeline.datasets.digits import Digits
from pipeline.datasets.mnist import FASHION_MNIST, MNIST
from pipeline.errors import PipelineError
from pipeline.features import image

NAMES = tuple(MNIST.sha256)


def packed(array, kind=0x08):
    return struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape) + array.tobytes()


@given(st.lists(st.integers(0, 4), min_size=1, max_size=3), st.integers(0, 99))
def test_idx_round_trip(tmp_path_factory, shape, seed):
    array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path_factory.getbasetemp() / "array.gz"
    path.write_bytes(gzip.compress(packed(array)))
    found = mnist.read_idx(path)
    assert array.shape == found.shape
    assert array.tobytes() == found.tobytes()


ARRAY = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
WHOLE = gzip.compress(packed(ARRAY))


def spoilt(content, at):
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


@pytest.mark.parametrize(
    "content",
    [
        WHOLE[:-10],
        WHOLE[:15],
        b"",
        packed(ARRAY),
        gzip.compress(packed(ARRAY)[:-1]),
        gzip.compress(packed(ARRAY) + b"x"),
        gzip.compress(packed(ARRAY)[:6]),
        gzip.compress(b""),
        gzip.compress(packed(ARRAY, kind=0x0D)),
        gzip.compress(spoilt(packed(ARRAY), 0)),
        spoilt(WHOLE, 12),
        spoilt(WHOLE, len(WHOLE) - 6),
    ],
    ids=[
        "cut short",
        "nearly nothing",
        "empty",
        "not gzip",
        "a byte less",
        "a byte more",
        "half a header",
        "no header",
        "floats",
        "magic",
        "deflate",
        "checksum",
    ],
)
def test_file_that_is_no_idx(tmp_path, content):
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match="not a readable IDX file") as caught:
        mnist.read_idx(path)
    assert f"Next: delete {path}" in str(caught.value)


@pytest.fixture
def folder(tmp_path):
    """Four files of MNIST's shape: 3 and 2 images."""
    random = np.random.default_rng(0)
    (tmp_path / "mnist").mkdir()
    for part, count in (("train", 3), ("t10k", 2)):
        pixels = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        for name, array in (("images-idx3", pixels), ("labels-idx1", np.arange(count, dtype=np.uint8))):
            (tmp_path / "mnist" / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(packed(array)))
    return tmp_path


def test_official_test_images_are_tests(folder):
    found = list(MNIST.examples(folder))
    assert ["train"] * 3 + ["test"] * 2 == [example.split for example in found]
    assert [b"0", b"1", b"2", b"0", b"1"] == [example.features["label"] for example in found]
    assert [""] * 5 == [image.fault(example.features["image_bytes"], MNIST.shape) for example in found]
    assert "mnist test row 1" == found[-1].source


def test_label_without_a_name_stays_a_number(folder):
    labels = np.array([0, 10, 255], np.uint8)
    (folder / "mnist" / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(packed(labels)))
    assert [b"0", b"10", b"255"] == [example.features["label"] for example in MNIST.examples(folder)][:3]


def test_images_and_labels_that_do_not_belong_together(folder):
    (folder / "mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(packed(np.zeros(9, np.uint8))))
    with pytest.raises(PipelineError, match="test part of mnist do not belong together") as caught:
        list(MNIST.examples(folder))
    assert "Expected: 2 labels\nReceived: 9" in str(caught.value)


@pytest.mark.parametrize("data", [MNIST, FASHION_MNIST], ids=["mnist", "fashion"])
def test_public_sets_declare_four_files_and_ten_classes(data):
    assert NAMES == tuple(data.sha256)
    assert 10 == len(set(data.classes))
    assert {64} == {len(digest) for digest in data.sha256.values()}


def test_digits_are_1797_sound_images_of_ten_classes(tmp_path):
    found = list(Digits().examples(tmp_path))
    assert 1797 == len(found)
    assert {name.encode() for name in Digits().classes} == {example.features["label"] for example in found}
    assert {""} == {image.fault(example.features["image_bytes"], (8, 8, 1)) for example in found[::50]}
