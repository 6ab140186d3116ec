"""NumPy's archives: vectors, images, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import PipelineError
from pipeline.formats.npz import Npz

DATA = Npz("t.npz", (3,), ("sound", "broken"))
X = np.arange(12, dtype=np.float64).reshape(4, 3)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "y", [np.array([0, 1, 1, 0]), np.array([[0.0], [1.0], [1.0], [0.0]]), np.array([0, 1, 1, 0]) > 0]
)
def test_vectors(tmp_path, save, order, y):
    save(tmp_path / "t.npz", X=np.array(X, order=order), y=y)
    found = list(DATA.examples(tmp_path))
    np.testing.assert_array_equal(X, [one.features["x"] for one in found])
    assert [b"sound", b"broken", b"broken", b"sound"] == [one.features["label"] for one in found]
    assert {"x": "float[3]"} == DATA.inputs


def test_labels_that_are_names_or_numbers(tmp_path):
    np.savez(tmp_path / "t.npz", a=X, b=np.array(["broken", "sound", "sound", "odd"]))
    named = Npz("t.npz", (3,), ("sound", "broken"), x="a", y="b")
    assert [b"broken", b"sound", b"sound", b"odd"] == [one.features["label"] for one in named.examples(tmp_path)]
    np.savez(tmp_path / "t.npz", X=X, y=np.array([0.5, 1, 2, np.nan]))
    *sound, last = Npz("t.npz", (3,)).examples(tmp_path)
    assert [0.5, 1.0, 2.0] == [one.features["label"] for one in sound]
    assert last.fault


def test_label_without_a_class_stays_a_number(tmp_path):
    np.savez(tmp_path / "t.npz", X=X, y=np.array([0, 1, 2, -1]))
    assert [b"sound", b"broken", b"2", b"-1"] == [one.features["label"] for one in DATA.examples(tmp_path)]


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3)])
def test_images(tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 256, (2, *shape), dtype=np.uint8)
    for name in ("train", "test"):
        np.savez(tmp_path / f"{name}.npz", X=pixels, y=[0, 1])
    data = Npz("train.npz", shape, ("a", "b"), images=True, test="test.npz")
    found = list(data.examples(tmp_path))
    assert ["train", "train", "test", "test"] == [one.split for one in found]
    assert {"image_bytes": "bytes"} == data.inputs
    decoded = [np.array(Image.open(io.BytesIO(one.features["image_bytes"]))) for one in found[:2]]
    np.testing.assert_array_equal(pixels, decoded)


def test_infinite_number_is_a_fault_of_its_row(tmp_path):
    np.savez(tmp_path / "t.npz", X=np.array([[1, 2, np.inf], [1, 2, np.nan]]), y=[0, 1])
    first, second = DATA.examples(tmp_path)
    assert first.fault
    assert "" == second.fault


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"X": X, "y": np.zeros(3)}, "do not fit"),
        ({"X": X.T, "y": np.zeros(3)}, "do not fit"),
        ({"X": X, "y": np.zeros((4, 2))}, "do not fit"),
        ({"X": X}, "no item named 'y.npy'"),
        ({"X": X, "y": np.array([0, 1, None, 1], object)}, "must not run"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, arrays, words):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(PipelineError, match=words):
        list(DATA.examples(tmp_path))


def test_damaged_files(tmp_path):
    np.savez_compressed(tmp_path / "t.npz", X=X, y=np.zeros(4))
    content = bytearray((tmp_path / "t.npz").read_bytes())
    content[150] ^= 255
    for damaged in (bytes(content), bytes(content[:-30]), b"", b"\x93NUMPY"):
        (tmp_path / "t.npz").write_bytes(damaged)
        with pytest.raises(PipelineError, match="cannot be read completely"):
            list(DATA.examples(tmp_path))
