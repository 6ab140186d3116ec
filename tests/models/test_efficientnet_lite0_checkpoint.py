"""Weights of PyTorch, read without PyTorch and without running what a file says."""

from __future__ import annotations

import os
import pickle
import struct
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import _efficientnet_lite0
from pipeline.errors import PipelineError

MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4)


class Tensor:
    """What `torch.save` pickles: a call that rebuilds the tensor from a part of a storage."""

    def __init__(self, key, offset, shape, strides, kind="FloatStorage"):
        self.arguments = (("storage", kind, key, "cpu", 12, None), offset, shape, strides, False, OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


class Writer(pickle.Pickler):
    def persistent_id(self, obj):
        if isinstance(obj, tuple) and obj[:1] == ("storage",):
            return ("storage", getattr(sys.modules["torch"], obj[1]), *obj[2:])
        return None


@pytest.fixture
def torch(monkeypatch):
    """Modules with the names that such a file refers to."""
    for name in ("torch", "torch._utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    for name in ("FloatStorage", "LongStorage", "HalfStorage"):
        kind = type(name, (), {"__module__": "torch", "__qualname__": name})
        monkeypatch.setattr(sys.modules["torch"], name, kind, raising=False)

    def _rebuild_tensor_v2(*arguments):
        raise AssertionError("the file's code was run")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    monkeypatch.setattr(sys.modules["torch._utils"], "_rebuild_tensor_v2", _rebuild_tensor_v2, raising=False)


@pytest.fixture
def write(tmp_path, torch):
    def save(state, storages, magic=_efficientnet_lite0.MAGIC):
        path = tmp_path / "weights.pth"
        with path.open("wb") as file:
            for value in (magic, 1001, {"little_endian": True}, OrderedDict(state), list(storages)):
                Writer(file, protocol=2).dump(value)
            for array in storages.values():
                file.write(struct.pack("<q", array.size) + array.tobytes())
        return path

    return save


def test_tensors_of_all_kinds(write):
    path = write(
        {
            "matrix": Tensor("a", 0, (3, 4), (4, 1)),
            "transposed": Tensor("a", 0, (4, 3), (1, 4)),
            "part": Tensor("a", 5, (2,), (1,)),
            "count": Tensor("b", 0, (), (), "LongStorage"),
        },
        {"a": MATRIX, "b": np.array([7], np.int64)},
    )
    found = _efficientnet_lite0.read_torch_file(path)
    assert ["matrix", "transposed", "part", "count"] == list(found)
    assert np.array_equal(MATRIX, found["matrix"])
    assert np.array_equal(MATRIX.T, found["transposed"])
    assert np.array_equal([5, 6], found["part"])
    assert 7 == found["count"]


class Command:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_code_in_a_file_is_refused_and_not_run(write, tmp_path):
    path = write({"weight": Command(tmp_path / "made")}, {})
    with pytest.raises(PipelineError, match=r"mkdir is not allowed in a file of weights"):
        _efficientnet_lite0.read_torch_file(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor("a", 1, (3, 4), (4, 1)),
        Tensor("a", -1, (2,), (1,)),
        Tensor("a", 0, (2,), (-1,)),
        Tensor("a", 0, (-2,), (1,)),
        Tensor("a", 0, (2, 2), (1,)),
        Tensor("a", 0, (10**12, 10**12), (0, 1)),
    ],
    ids=["beyond the end", "before the start", "backwards", "negative", "too few strides", "huge"],
)
def test_tensor_outside_its_storage_is_refused(write, tensor):
    with pytest.raises(PipelineError, match="not a readable file of PyTorch weights"):
        _efficientnet_lite0.read_torch_file(write({"weight": tensor}, {"a": MATRIX}))


def test_other_magic_number_and_other_kinds(write):
    with pytest.raises(PipelineError, match="magic number 1"):
        _efficientnet_lite0.read_torch_file(write({}, {}, magic=1))
    with pytest.raises(PipelineError, match=r"torch.HalfStorage is not allowed"):
        _efficientnet_lite0.read_torch_file(write({"a": Tensor("a", 0, (1,), (1,), "HalfStorage")}, {"a": MATRIX}))


def test_truncated_file_is_refused_wherever_it_is_cut(write):
    path = write({"matrix": Tensor("a", 0, (3, 4), (4, 1))}, {"a": MATRIX})
    content = path.read_bytes()
    assert ["matrix"] == list(_efficientnet_lite0.read_torch_file(path))
    for end in range(len(content)):
        path.write_bytes(content[:end])
        with pytest.raises(PipelineError):
            _efficientnet_lite0.read_torch_file(path)


@settings(max_examples=100)
@given(content=st.binary(max_size=100))
def test_arbitrary_bytes_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "arbitrary.pth"
    path.write_bytes(content)
    with pytest.raises(PipelineError):
        _efficientnet_lite0.read_torch_file(path)
