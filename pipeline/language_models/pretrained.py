"""A network of Llama's form with the weights of a GGUF file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from pipeline.language_models.gguf import GgufFile
    from pipeline.language_models.llama import Llama

BLOCK_NAMES = {  # of our layers and of the file's arrays
    "attention_norm": "attn_norm",
    "query": "attn_q",
    "key": "attn_k",
    "value": "attn_v",
    "mix": "attn_output",
    "dense_norm": "ffn_norm",
    "gate": "ffn_gate",
    "wide": "ffn_up",
    "narrow": "ffn_down",
}


def read_sizes(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of `Llama` that a GGUF file states.

    Raises:
        PipelineError: The file has a network of another form.
    """
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        raise _other_form("general.architecture = llama", f"general.architecture = {architecture}")
    if "llama.rope.scaling.type" in metadata or "llama.expert_count" in metadata:
        raise _other_form("neither scaled positions nor experts", "one of them")
    try:
        heads = metadata["llama.attention.head_count"]
        return {
            "vocabulary": len(metadata["tokenizer.ggml.tokens"]),
            "blocks": metadata["llama.block_count"],
            "width": metadata["llama.embedding_length"],
            "heads": heads,
            "key_heads": metadata.get("llama.attention.head_count_kv", heads),
            "hidden": metadata["llama.feed_forward_length"],
            "base": metadata.get("llama.rope.freq_base", 10000.0),
            "epsilon": metadata["llama.attention.layer_norm_rms_epsilon"],
        }
    except KeyError as error:
        raise _other_form(f"a value {error}", "none") from error


def load_weights(network: Llama, file: GgufFile) -> None:
    """Puts the arrays of a file into a network that has been built.

    Raises:
        PipelineError: An array is missing, or of another shape.
    """
    if "output.weight" in file.entries:
        raise _other_form("the embedding of the tokens for the answer, too", "an array output.weight")
    network.words.embeddings.assign(_read(file, "token_embd.weight", network.words.embeddings.shape))
    network.norm.scale.assign(_read(file, "output_norm.weight", network.norm.scale.shape))
    for number, block in enumerate(network.blocks):
        for name, stored in BLOCK_NAMES.items():
            layer = getattr(block, name)
            variable = layer.scale if name.endswith("norm") else layer._kernel  # noqa: SLF001  (without LoRA's part)
            values = _read(file, f"blk.{number}.{stored}.weight", variable.shape[::-1])
            if name in ("query", "key"):
                values = halve_pairs(values, block.heads if name == "query" else block.key_heads)
            variable.assign(values.T)


def halve_pairs(weights: np.ndarray, heads: int) -> np.ndarray:
    """Returns weights (out, in) whose rotary pairs are (i, i + size / 2) of a head, as in the paper's code.

    In GGUF they are neighbours: convert_hf_to_gguf.py of llama.cpp permutes the rows of queries and keys.
    """
    pairs = weights.reshape(heads, -1, 2, weights.shape[1])
    return pairs.swapaxes(1, 2).reshape(weights.shape)


def _read(file: GgufFile, name: str, shape: tuple[int, ...]) -> np.ndarray:
    entry = file.entries.get(name)
    if entry is None or entry.shape != tuple(shape):
        raise _other_form(f"an array {name} {tuple(shape)}", entry.shape if entry else "none")
    return file.read_array(name)


def _other_form(expected: str, received: object) -> PipelineError:
    return PipelineError(
        "The GGUF file holds a network of another form than Llama's.",
        expected=expected,
        received=received,
        action="use a model of the Llama family with tied embeddings, such as SmolLM2",
    )
