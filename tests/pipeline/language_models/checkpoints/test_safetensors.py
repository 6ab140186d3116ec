"""Files of safetensors: their numbers, damage, and folders that lack them."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.language_models.checkpoints.safetensors import open_folder, open_safetensors

VALUES = {"a": np.arange(6, dtype=np.float32).reshape(2, 3) / 8, "b": np.array([-1.5], np.float32)}


@pytest.fixture(scope="module")
def content(tiny_llama, tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "model.safetensors"
    tiny_llama.write_arrays(path, VALUES)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_numbers_of_each_type(tiny_llama, tmp_path, kind):
    tiny_llama.write_arrays(tmp_path / "x.safetensors", VALUES, kind)
    file = open_safetensors(tmp_path / "x.safetensors")
    for name, values in VALUES.items():
        np.testing.assert_array_equal(values, file.read_array(name))
        assert np.float32 == file.read_array(name).dtype


def test_another_type_is_named_where_it_is_needed(tiny_llama, tmp_path):
    tiny_llama.write_arrays(tmp_path / "x.safetensors", VALUES, "F64")
    with pytest.raises(PipelineError, match="a of the type F32, F16, BF16\nReceived: F64"):
        open_safetensors(tmp_path / "x.safetensors").read_array("a")


def test_a_file_that_ends_early_is_refused_wherever_it_ends(content, tmp_path):
    for size in range(len(content)):
        (tmp_path / "short.safetensors").write_bytes(content[:size])
        with pytest.raises(PipelineError, match=r"short\.safetensors"):
            open_safetensors(tmp_path / "short.safetensors")


@given(st.data())
def test_bytes_that_were_changed_end_in_an_error_or_an_answer(content, tmp_path_factory, data):
    changed = bytearray(content)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        changed[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    path.write_bytes(changed)
    try:
        file = open_safetensors(path)
        arrays = [file.read_array(name) for name in file.entries]
    except PipelineError:
        return
    assert sum(array.nbytes for array in arrays) <= 4 * len(content) * len(arrays)


def header(entries):
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + bytes(16)


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**60) + b"{}",
        header({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 16]}}),
        header({"a": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}),
        header({"a": {"dtype": "F32", "shape": [4], "data_offsets": [8, 24]}}),
        header({"a": {"dtype": "F32", "shape": [4.0], "data_offsets": [0, 16]}}),
        header({"a": {"dtype": "F32", "shape": [1] * 99, "data_offsets": [0, 4]}}),
        header(["a"]),
        struct.pack("<Q", 40_000) + b"[" * 40_000,
    ],
)
def test_a_hostile_file_is_refused_at_once(content, tmp_path):
    (tmp_path / "hostile.safetensors").write_bytes(content)
    with pytest.raises(PipelineError, match=r"hostile\.safetensors"):
        open_safetensors(tmp_path / "hostile.safetensors")


def test_an_index_names_files_of_its_folder_only(tiny_llama, tmp_path):
    folder = tiny_llama.write_folder(tmp_path / "model", shards=2)
    assert 2 == len({file.path for file in open_folder(folder).values()})
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../model.safetensors"}}))
    with pytest.raises(PipelineError, match="weight_map with the file"):
        open_folder(folder)
    index.write_text(json.dumps({"weight_map": {"a": "model-9.safetensors"}}))
    with pytest.raises(PipelineError, match=r"Expected: model-9\.safetensors"):
        open_folder(folder)


def test_pickled_weights_are_never_read(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(PipelineError, match=r"can run code.*\n.*\nReceived: pytorch_model\.bin"):
        open_folder(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(PipelineError, match=r"model\.safetensors or model\.safetensors\.index\.json"):
        open_folder(tmp_path)
