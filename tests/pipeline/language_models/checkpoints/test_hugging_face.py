"""Folders of Hugging Face's form: what is read of their files, and networks that are not Llama's."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.language_models.checkpoints.hugging_face import read_folder


def test_what_a_server_needs_is_read(tiny_llama, tiny_folder):
    checkpoint = read_folder(tiny_folder)
    assert (tiny_llama.CONTEXT, tiny_llama.TEMPLATE) == (checkpoint.context, checkpoint.chat_template)
    assert ("<|im_start|>", "<|im_end|>", (2,)) == (checkpoint.bos_token, checkpoint.eos_token, checkpoint.end)
    assert tiny_llama.SPECIAL == checkpoint.pairs.special_texts
    names = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert names == {file.name for file in checkpoint.files}


def test_a_template_has_a_file_of_its_own_or_a_name(tiny_llama, tmp_path):
    folder = tiny_llama.write_folder(tmp_path)
    named = [{"name": "rag", "template": "no"}, {"name": "default", "template": "yes"}]
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": named}))
    assert "yes" == read_folder(folder).chat_template
    (folder / "chat_template.jinja").write_text("é")
    assert "é" == read_folder(folder).chat_template


def test_other_ends_are_those_of_the_generation(tiny_llama, tmp_path):
    folder = tiny_llama.write_folder(tmp_path)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [0, 2, 17, None]}))
    assert (2, 0) == read_folder(folder).end


def test_newer_files_have_the_base_among_others(tiny_llama, tmp_path):
    parameters = {"rope_type": "default", "rope_theta": 123.0}
    folder = tiny_llama.write_folder(tmp_path, config={"rope_theta": None, "rope_parameters": parameters})
    assert 123.0 == read_folder(folder).sizes["base"]


def test_half_precision_is_the_same_network(tiny_llama, tmp_path):
    whole, half = (read_folder(tiny_llama.write_folder(tmp_path / kind, kind=kind)) for kind in ("F32", "BF16"))
    np.testing.assert_allclose(whole.read("1.narrow"), half.read("1.narrow"), rtol=0.01)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "qwen2"}, "model_type = llama\nReceived: qwen2"),
        ({"attention_bias": True}, "attention_bias = False\nReceived: True"),
        ({"hidden_act": "gelu"}, "hidden_act = silu"),
        ({"quantization_config": {"bits": 4}}, "quantization_config = None"),
        ({"head_dim": 16}, "head_dim = 8"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "positions that are not scaled"),
        ({"rope_scaling": "linear"}, "positions that are not scaled"),
        ({"num_key_value_heads": 3}, "heads of keys that divide"),
        ({"hidden_size": "32"}, "a positive number hidden_size\nReceived: '32'"),
        ({"num_hidden_layers": None}, "a positive number num_hidden_layers\nReceived: none"),
        ({"vocab_size": True}, "a positive number vocab_size"),
    ],
)
def test_another_network_is_refused(tiny_llama, tmp_path, config, message):
    folder = tiny_llama.write_folder(tmp_path, config=config)
    with pytest.raises(PipelineError, match=message):
        read_folder(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "cannot be read completely"), ("[]", "Received: a list"), ("[" * 99_999, "completely")],
)
def test_a_damaged_configuration_is_named(tiny_llama, tmp_path, content, message):
    folder = tiny_llama.write_folder(tmp_path)
    (folder / "config.json").write_text(content)
    with pytest.raises(PipelineError, match=message):
        read_folder(folder)


def test_a_missing_weight_is_named(tiny_llama, tmp_path):
    folder = tiny_llama.write_folder(tmp_path, config={"num_hidden_layers": 3})
    with pytest.raises(PipelineError, match=r"an array model\.layers\.2\.self_attn\.q_proj\.weight"):
        read_folder(folder).read("2.query")
