"""One network in every form of file gives the same logits, and what is no such network is named."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.language_models.pretrained import build_network, open_checkpoint

IDS = np.array([[5, 260, 1, 77, 3, 300, 12], [9, 8, 7, 6, 5, 4, 3]])
FORMS = {
    "gguf": lambda tiny, path, tied: tiny.write_gguf(path.with_suffix(".gguf"), tied=tied),
    "safetensors": lambda tiny, path, tied: tiny.write_folder(path, tied=tied),
    "shards": lambda tiny, path, tied: tiny.write_folder(path, tied=tied, shards=3),
    "preset": lambda tiny, path, tied: tiny.write_preset(path, tied=tied),
}


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("form", FORMS)
def test_logits_are_those_of_the_formulas(tiny_llama, tmp_path, form, tied):
    path = FORMS[form](tiny_llama, tmp_path / "model", tied)
    checkpoint = open_checkpoint(str(path))
    network = build_network(checkpoint, lora_rank=2)
    weights = tiny_llama.arrays(tied=tied)
    expected = np.stack([tiny_llama.logits(weights, row) for row in IDS])
    np.testing.assert_allclose(expected, network(IDS).numpy(), atol=2e-4)
    assert checkpoint.sizes["tied"] == tied
    assert checkpoint.files
    assert all(file.is_file() for file in checkpoint.files)


def test_only_lora_learns(tiny_folder):
    network = build_network(open_checkpoint(str(tiny_folder)), lora_rank=2, lora_blocks=1)
    names = {variable.path for variable in network.trainable_variables}
    assert 4 == len(names)
    assert all("block_1" in name and "lora" in name for name in names)


def test_fewer_blocks_are_the_first_ones(tiny_llama, tiny_folder):
    checkpoint = open_checkpoint(str(tiny_folder))
    network = build_network(checkpoint, blocks=1)
    assert 1 == len(network.blocks)
    np.testing.assert_array_equal(checkpoint.read("0.gate"), network.blocks[0].gate.get_weights()[0])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "nothing at that path"),
        ("file.bin", "another file"),
        ("folder", r"folder is no complete .*\n.*\n.*an empty"),
    ],
)
def test_no_model_is_said(tmp_path, name, message):
    (tmp_path / "file.bin").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(PipelineError, match=f"(?s){message}"):
        open_checkpoint(str(tmp_path / name))


def test_a_weight_of_another_shape_is_refused(tiny_llama, tmp_path):
    folder = tiny_llama.write_folder(tmp_path / "model", config={"intermediate_size": 40})
    with pytest.raises(PipelineError, match=r"array \(32, 40\) for 0.gate\nReceived: \(32, 48\)"):
        build_network(open_checkpoint(str(folder)))
