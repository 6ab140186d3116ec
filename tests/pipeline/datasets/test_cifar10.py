"""CIFAR-10 from either of its files."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import cifar10
from pipeline.datasets.cifar10 import BINARY, CIFAR10, JPEG, PIXELS, Cifar10
from pipeline.errors import PipelineError


@pytest.fixture
def pack(tmp_path):
    def write(archive, contents):
        path = tmp_path / "cifar10" / archive
        path.parent.mkdir(exist_ok=True)
        with tarfile.open(path, "w:gz") as tar:
            for name, content in contents.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))

    return write


def records(numbers, seed=0):
    """Labels and planes of random pixels: the table (rows, 3073) and its bytes."""
    table = np.random.default_rng(seed).integers(0, 256, (len(numbers), 1 + PIXELS), dtype=np.uint8)
    table[:, 0] = numbers
    return table, table.tobytes()


def test_binary_file_gives_pixels_and_names(pack, tmp_path):
    table, content = records([9, 0, 3])
    folder = "cifar-10-batches-bin"
    pack(
        BINARY,
        {f"{folder}/data_batch_1.bin": content, f"{folder}/readme.html": b"", f"{folder}/test_batch.bin": content},
    )
    found = list(CIFAR10.examples(tmp_path))
    assert [b"truck", b"airplane", b"cat"] * 2 == [example.features["label"] for example in found]
    assert ["train"] * 3 + ["test"] * 3 == [example.split for example in found]
    assert {""} == {example.fault for example in found}
    assert found[1].source.endswith(f"{folder}/data_batch_1.bin row 1")
    for example, record in zip(found, [*table, *table], strict=True):
        with Image.open(io.BytesIO(example.features["image_bytes"])) as opened:
            pixels = np.asarray(opened)
        red, green, blue = record[1:].reshape(3, 32, 32)
        assert np.array_equal(np.stack([red, green, blue], axis=-1), pixels)


@pytest.mark.parametrize("content", [records([1])[1][:-1], records([10])[1]], ids=["short", "an eleventh class"])
def test_file_of_another_format(pack, tmp_path, content):
    pack(BINARY, {"cifar-10-batches-bin/data_batch_1.bin": content})
    with pytest.raises(PipelineError, match="not in the binary format of CIFAR-10"):
        list(CIFAR10.examples(tmp_path))


def test_jpeg_file_and_a_part_of_each_class(pack, tmp_path, encoded):
    sound, other = encoded((32, 32), "RGB", "jpeg"), encoded((31, 32), "RGB", "jpeg")
    names = [f"{part}/{name}/{row}.jpg" for part in ("test", "train") for name in ("cat", "dog") for row in range(3)]
    pack(JPEG, {"README.md": b"", **{name: other if name == "train/dog/0.jpg" else sound for name in names}})
    assert names == [example.source.partition(f"{JPEG}/")[2] for example in CIFAR10.examples(tmp_path)]
    few = list(Cifar10(train_per_class=2, test_per_class=1).examples(tmp_path))
    assert [("test", b"cat"), ("test", b"dog"), *2 * [("train", b"cat")], *2 * [("train", b"dog")]] == [
        (example.split, example.features["label"]) for example in few
    ]
    assert ["size 32x31, expected 32x32 pixels"] == [example.fault for example in few if example.fault]


def test_neither_file_nor_network(tmp_path, monkeypatch):
    source = (tmp_path / "nowhere").as_uri()
    monkeypatch.setattr(cifar10, "SOURCE", source)
    with pytest.raises(PipelineError, match=r"cifar-10-binary\.tar\.gz does not exist and could not") as caught:
        CIFAR10.files(tmp_path)
    assert source in str(caught.value)


@pytest.mark.heavy
def test_real_file(shared_data):
    if not (shared_data / "cifar10").is_dir():
        pytest.skip(f"no cifar10 in {shared_data}")
    found = list(Cifar10(train_per_class=2, test_per_class=1).examples(shared_data))
    assert 30 == len(found)
    assert {""} == {example.fault for example in found}
    assert set(CIFAR10.classes) == {example.features["label"].decode() for example in found}
