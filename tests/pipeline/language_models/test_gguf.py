"""GGUF files, against the package of llama.cpp's project, and damaged ones."""

from __future__ import annotations

import struct

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.language_models.gguf import open_gguf

KINDS = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q8_0")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A file with an array of each kind, and their values as the package reads them."""
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint32("llama.block_count", 3)
    writer.add_float32("llama.rope.freq_base", 100000.0)
    writer.add_bool("tokenizer.ggml.add_bos_token", False)
    writer.add_array("tokenizer.ggml.tokens", ["<|end|>", "Ġa", "é"])
    writer.add_array("tokenizer.ggml.token_type", [3, 1, 1])
    values, truth = np.random.default_rng(3).normal(size=(6, 64)).astype(np.float32), {}
    for kind in KINDS:
        number = gguf.GGMLQuantizationType[kind]
        stored = gguf.quants.quantize(values, number)
        writer.add_tensor(kind, stored, raw_dtype=number)
        truth[kind] = gguf.quants.dequantize(stored, number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path, truth


@pytest.fixture(scope="module")
def content(written):
    return written[0].read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_are_those_of_the_package(written, kind):
    path, truth = written
    found = open_gguf(path).read_array(kind)
    assert np.float32 == found.dtype
    np.testing.assert_array_equal(truth[kind], found)


def test_metadata_is_read(written):
    metadata = open_gguf(written[0]).metadata
    assert "llama" == metadata["general.architecture"]
    assert 3 == metadata["llama.block_count"]
    assert 100000.0 == metadata["llama.rope.freq_base"]
    assert metadata["tokenizer.ggml.add_bos_token"] is False
    assert ["<|end|>", "Ġa", "é"] == metadata["tokenizer.ggml.tokens"]
    assert [3, 1, 1] == metadata["tokenizer.ggml.token_type"]


def test_a_file_that_ends_early_is_refused_wherever_it_ends(content, tmp_path):
    path = tmp_path / "short.gguf"
    for size in range(0, len(content) - 32, 7):  # the file ends with padding
        path.write_bytes(content[:size])
        with pytest.raises(PipelineError, match=r"short\.gguf"):
            open_gguf(path)


@given(st.data())
def test_bytes_that_were_changed_end_in_an_error_or_an_answer(content, tmp_path_factory, data):
    changed = bytearray(content)
    for place in data.draw(st.lists(st.integers(0, 700), min_size=1, max_size=8)):
        changed[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed.gguf"
    path.write_bytes(changed)
    try:
        file = open_gguf(path)
    except PipelineError:
        return
    for name in file.entries:
        assert file.read_array(name).nbytes <= 16 * len(content)


def pairs(count, content):
    return b"GGUF" + struct.pack("<IQQ", 3, 0, count) + content


KEY = struct.pack("<Q", 1) + b"k"


@pytest.mark.parametrize(
    "content",
    [
        pairs(2**60, KEY),
        pairs(1, struct.pack("<Q", 2**62) + b"k"),
        pairs(1, KEY + struct.pack("<IIQ", 9, 0, 2**60)),
        pairs(1, KEY + struct.pack("<IIQ", 9, 8, 2**40)),
        pairs(1, KEY + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 2000 + struct.pack("<IQ", 0, 0)),
        pairs(1, KEY + struct.pack("<I", 77)),
        b"GGUF" + struct.pack("<IQQ", 9, 0, 0),
        b"GGML" + struct.pack("<IQQ", 3, 0, 0),
        b"",
    ],
)
def test_a_hostile_file_is_refused_at_once(content, tmp_path):
    path = tmp_path / "hostile.gguf"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match=r"hostile\.gguf"):
        open_gguf(path)


def test_an_unknown_quantisation_is_named(tmp_path):
    path = tmp_path / "other.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    number = gguf.GGMLQuantizationType.Q5_1
    writer.add_tensor("one", gguf.quants.quantize(np.ones((2, 32), np.float32), number), raw_dtype=number)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(PipelineError, match=r"array one .*\n.*Q4_1.*\n.*type 7"):
        open_gguf(path)
