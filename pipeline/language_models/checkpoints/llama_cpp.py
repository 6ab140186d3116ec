"""A file in the format GGUF, as llama.cpp reads it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from pipeline.language_models.byte_pairs import BytePairs
from pipeline.language_models.checkpoints.checkpoint import (
    Checkpoint,
    other_form,
    other_vocabulary,
    require_number,
    require_sizes,
)
from pipeline.language_models.gguf import open_gguf

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from pipeline.language_models.gguf import GgufFile

OWN = 4  # type of a token of the user's: text that no word is made of
WHOLE_NAMES = {"words": "token_embd", "norm": "output_norm", "head": "output"}
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


def read_gguf(path: Path) -> Checkpoint:
    """Opens a language model in a GGUF file.

    Raises:
        PipelineError: The file is damaged, or its network or vocabulary are of another form.
    """
    file = open_gguf(path)
    metadata = file.metadata
    texts = metadata.get("tokenizer.ggml.tokens", [])
    whole = [
        text for text, kind in zip(texts, metadata.get("tokenizer.ggml.token_type", []), strict=False) if kind == OWN
    ]
    if whole:
        raise other_vocabulary(path, f"no token of type {OWN}, which is found as a whole", ", ".join(whole)[:80])
    ids = {name: metadata.get(f"tokenizer.ggml.{name}_token_id", -1) for name in ("bos", "eos", "eot")}
    ids = {name: number for name, number in ids.items() if 0 <= number < len(texts)}
    return Checkpoint(
        path,
        read_sizes(path, metadata, tied="output.weight" not in file.entries),
        require_number(path, metadata, "llama.context_length"),
        BytePairs.from_gguf(metadata),
        str(metadata.get("tokenizer.chat_template", "")),
        texts[ids["bos"]] if "bos" in ids else "",
        texts[ids["eos"]] if "eos" in ids else "",
        tuple(dict.fromkeys(ids[name] for name in ("eos", "eot") if name in ids)),
        functools.partial(_read_weight, path, file),
        (path,),
    )


def read_sizes(path: Path, metadata: Mapping[str, Any], *, tied: bool) -> dict[str, Any]:
    """Returns the arguments of `Llama` that a GGUF file states.

    Raises:
        PipelineError: The file has a network of another form.
    """
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        raise other_form(path, "general.architecture = llama", f"general.architecture = {architecture}")
    if "llama.rope.scaling.type" in metadata or "llama.expert_count" in metadata:
        raise other_form(path, "neither scaled positions nor experts", "one of them")

    def number(name: str, kind: type = int) -> Any:
        return require_number(path, metadata, f"llama.{name}", kind)

    heads = number("attention.head_count")
    shared = number("attention.head_count_kv") if "llama.attention.head_count_kv" in metadata else heads
    sizes = {
        "vocabulary": len(metadata.get("tokenizer.ggml.tokens", [])),
        "blocks": number("block_count"),
        "width": number("embedding_length"),
        "heads": heads,
        "key_heads": shared,
        "hidden": number("feed_forward_length"),
        "base": number("rope.freq_base", float) if "llama.rope.freq_base" in metadata else 10000.0,
        "epsilon": number("attention.layer_norm_rms_epsilon", float),
        "tied": tied,
    }
    return require_sizes(path, sizes)


def _read_weight(path: Path, file: GgufFile, name: str) -> np.ndarray:
    block, _, layer = name.rpartition(".")
    stored = f"blk.{block}.{BLOCK_NAMES[layer]}.weight" if block else f"{WHOLE_NAMES[name]}.weight"
    if stored not in file.entries:
        raise other_form(path, f"an array {stored}", "none")
    values = file.read_array(stored)
    if layer in ("query", "key"):
        heads = file.metadata["llama.attention.head_count"]
        shared = file.metadata.get("llama.attention.head_count_kv", heads)
        values = halve_pairs(path, values, heads if layer == "query" else shared)
    return values.T if block else values


def halve_pairs(path: Path, weights: np.ndarray, heads: int) -> np.ndarray:
    """Returns weights (out, in) whose rotary pairs are (i, i + size / 2) of a head, as in the paper's code.

    In GGUF they are neighbours: convert_hf_to_gguf.py of llama.cpp permutes the rows of queries and keys.

    Raises:
        PipelineError: The weights are no matrix of so many heads.
    """
    if weights.ndim != 2 or len(weights) % (2 * heads):  # noqa: PLR2004
        raise other_form(path, f"queries and keys of {heads} heads of an even width", f"an array {weights.shape}")
    pairs = weights.reshape(heads, -1, 2, weights.shape[1])
    return pairs.swapaxes(1, 2).reshape(weights.shape)
