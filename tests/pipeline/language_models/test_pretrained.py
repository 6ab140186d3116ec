"""A network is written as a GGUF file, in the order of llama.cpp's converter, and read again."""

from __future__ import annotations

import gguf
import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.language_models.gguf import open_gguf
from pipeline.language_models.llama import Llama
from pipeline.language_models.pretrained import BLOCK_NAMES, load_weights, read_sizes


def permute(weights, heads):
    """`LlamaModel.permute` of convert_hf_to_gguf.py."""
    return weights.reshape(heads, 2, len(weights) // heads // 2, weights.shape[1]).swapaxes(1, 2).reshape(weights.shape)


def write(path, network, **other):
    writer = gguf.GGUFWriter(path, other.get("architecture", "llama"))
    writer.add_block_count(len(network.blocks))
    writer.add_embedding_length(48)
    writer.add_feed_forward_length(64)
    writer.add_head_count(6)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_token_list([f"token{number}" for number in range(97)])
    writer.add_tensor("token_embd.weight", network.words.embeddings.numpy())
    writer.add_tensor("output_norm.weight", network.norm.scale.numpy())
    for number, block in enumerate(network.blocks):
        for name, stored in BLOCK_NAMES.items():
            values = getattr(block, name).get_weights()[0]
            values = values if name.endswith("norm") else np.ascontiguousarray(values.T)
            if name in ("query", "key"):
                values = permute(values, 6 if name == "query" else 2)
            if stored != other.get("without"):
                writer.add_tensor(f"blk.{number}.{stored}.weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return open_gguf(path)


def test_a_network_comes_back_from_a_file(network, tmp_path):
    file = write(tmp_path / "whole.gguf", network)
    other = Llama(**read_sizes(file.metadata), lora_rank=2, start="zeros")
    other.build()
    load_weights(other, file)
    ids = np.arange(12).reshape(2, 6)
    np.testing.assert_allclose(network(ids).numpy(), other(ids).numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"architecture": "gemma"}, "architecture = gemma"),
        ({"without": "ffn_gate"}, r"array blk.0.ffn_gate.weight \(64, 48\)"),
    ],
)
def test_a_file_of_another_form_is_refused(network, tmp_path, other, message):
    file = write(tmp_path / "other.gguf", network, **other)
    with pytest.raises(PipelineError, match=message):
        load_weights(network, file) if "without" in other else read_sizes(file.metadata)
