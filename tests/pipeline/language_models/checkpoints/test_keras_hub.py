"""Presets of Keras Hub: what is read of them, and those of other networks."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.language_models.checkpoints.keras_hub import read_preset


def test_what_a_server_needs_is_read(tiny_llama, tmp_path):
    checkpoint = read_preset(tiny_llama.write_preset(tmp_path))
    assert tiny_llama.HUB_TEMPLATE == checkpoint.chat_template
    assert ("<|begin_of_text|>", "<|eot_id|>") == (checkpoint.bos_token, checkpoint.eos_token)
    assert (2, 1) == checkpoint.end
    assert tiny_llama.HUB_SPECIAL == checkpoint.pairs.special_texts
    assert {"model.weights.h5", "vocabulary.json", "merges.txt"} <= {file.name for file in checkpoint.files}


def test_weights_in_several_files(tiny_llama, tmp_path):
    folder = tiny_llama.write_preset(tmp_path)
    whole = read_preset(folder).read("1.mix")
    (folder / "model.weights.h5").rename(folder / "model_00001.weights.h5")
    with h5py.File(folder / "model_00000.weights.h5", "w"):
        pass
    names = ["model_00000.weights.h5", "model_00001.weights.h5"]
    (folder / "model.weights.json").write_text(json.dumps({"weight_map": {"/layers/a": names[0], "/layers/b": names}}))
    np.testing.assert_array_equal(whole, read_preset(folder).read("1.mix"))
    (folder / "model.weights.json").write_text(json.dumps({"weight_map": {"/layers/a": "../x.h5"}}))
    with pytest.raises(PipelineError, match=r"names of files that end in \.h5"):
        read_preset(folder)
    (folder / "model.weights.json").unlink()
    with pytest.raises(PipelineError, match=r"model\.weights\.h5 or model\.weights\.json"):
        read_preset(folder)


def test_numbers_in_bfloat16(tiny_llama, tmp_path):
    import ml_dtypes

    folder = tiny_llama.write_preset(tmp_path)
    values = np.linspace(-1, 1, tiny_llama.WIDTH).astype(ml_dtypes.bfloat16)
    with h5py.File(folder / "model.weights.h5", "r+") as file:
        del file["layers/llama_layer_norm/vars/0"]
        array = file.create_dataset("layers/llama_layer_norm/vars/0", data=values)
        array.attrs["dtype"] = "bfloat16"  # as Keras' H5IOStore marks it
    np.testing.assert_array_equal(values.astype(np.float32), read_preset(folder).read("norm"))


def test_a_link_to_another_file_is_not_followed(tiny_llama, tmp_path):
    folder = tiny_llama.write_preset(tmp_path / "model")
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.ones(tiny_llama.WIDTH, np.float32)
    with h5py.File(folder / "model.weights.h5", "r+") as file:
        del file["layers/llama_layer_norm/vars/0"]
        file["layers/llama_layer_norm/vars/0"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/x")
    with pytest.raises(PipelineError, match="is a link to another file"):
        read_preset(folder).read("norm")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"config": {"rope_low_freq_factor": 1.0}}, "not scaled\nReceived: rope_low_freq_factor"),
        ({"config": {"rope_position_scaling_factor": 2.0}}, "not scaled"),
        ({"config": {"hidden_dim": None}}, "a positive number hidden_dim"),
        ({"tokenizer": {"class_name": "LlamaTokenizer"}}, "Llama3Tokenizer or BytePairTokenizer.*\nReceived: LlamaTok"),
        ({"tokenizer": {"config": {"add_prefix_space": True}}}, "without add_prefix_space"),
    ],
)
def test_another_network_is_refused(tiny_llama, tmp_path, other, message):
    with pytest.raises(PipelineError, match=message):
        read_preset(tiny_llama.write_preset(tmp_path, **other))


def test_what_is_missing_is_named(tiny_llama, tmp_path):
    folder = tiny_llama.write_preset(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"class_name": "GemmaBackbone"}))
    with pytest.raises(PipelineError, match="LlamaBackbone or Llama3Backbone\nReceived: GemmaBackbone"):
        read_preset(folder)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "assets/tokenizer/merges.txt").unlink()
    with pytest.raises(PipelineError, match=r"Expected: merges\.txt"):
        read_preset(folder)
    with h5py.File(folder / "model.weights.h5", "r+") as file:
        del file["layers/llama_layer_norm"]
    (folder / "assets/tokenizer/merges.txt").write_text("#version: 0.2\n")
    with pytest.raises(PipelineError, match="array layers/llama_layer_norm/vars/0"):
        read_preset(folder).read("norm")
    (folder / "model.weights.h5").write_bytes(b"HDF")
    with pytest.raises(PipelineError, match="cannot be read completely"):
        read_preset(folder)
