"""GGUF files that hold another network."""

from __future__ import annotations

import pytest

from pipeline.errors import PipelineError
from pipeline.language_models.checkpoints.llama_cpp import read_gguf


def test_what_a_server_needs_is_read(tiny_llama, tmp_path):
    checkpoint = read_gguf(tiny_llama.write_gguf(tmp_path / "tiny.gguf"))
    assert (tiny_llama.CONTEXT, tiny_llama.TEMPLATE) == (checkpoint.context, checkpoint.chat_template)
    assert ("<|im_start|>", "<|im_end|>", (2,)) == (checkpoint.bos_token, checkpoint.eos_token, checkpoint.end)
    assert tiny_llama.SPECIAL == checkpoint.pairs.special_texts


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"architecture": "gemma"}, "architecture = gemma"),
        ({"without": ("blk.0.ffn_gate",)}, "array blk.0.ffn_gate"),
        ({"own": ("user",)}, "no token of type 4.*\nReceived: user"),
    ],
)
def test_a_file_of_another_form_is_refused(tiny_llama, tmp_path, other, message):
    path = tiny_llama.write_gguf(tmp_path / "other.gguf", **other)
    with pytest.raises(PipelineError, match=message):
        read_gguf(path).read("0.gate")
