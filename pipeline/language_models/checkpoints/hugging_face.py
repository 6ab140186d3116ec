"""A folder as `save_pretrained` of Hugging Face's transformers writes it, of the type "llama".

It has config.json, model.safetensors (or several with an index), tokenizer.json, and mostly tokenizer_config.json,
generation_config.json and chat_template.jinja. Nothing of it is run.

Source: https://github.com/huggingface/transformers, models/llama/configuration_llama.py and modeling_llama.py.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from pipeline.language_models.checkpoints.checkpoint import (
    Checkpoint,
    other_form,
    read_chat_template,
    read_json,
    require_number,
    require_sizes,
)
from pipeline.language_models.checkpoints.safetensors import open_folder
from pipeline.language_models.checkpoints.tokenizer_json import FILE, read_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

    from pipeline.language_models.byte_pairs import BytePairs
    from pipeline.language_models.checkpoints.safetensors import SafetensorsFile

CONFIG, TOKENIZER_CONFIG, GENERATION_CONFIG = "config.json", "tokenizer_config.json", "generation_config.json"
WHOLE_NAMES = {"words": "model.embed_tokens", "norm": "model.norm", "head": "lm_head"}
BLOCK_NAMES = {  # of our layers and of the file's arrays
    "attention_norm": "input_layernorm",
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "mix": "self_attn.o_proj",
    "dense_norm": "post_attention_layernorm",
    "gate": "mlp.gate_proj",
    "wide": "mlp.up_proj",
    "narrow": "mlp.down_proj",
}
# Settings of other networks, and the values with which the network is Llama's.
PLAIN: dict[str, tuple[Any, ...]] = {
    "model_type": ("llama",),
    "hidden_act": ("silu", None),
    "attention_bias": (False, None),
    "mlp_bias": (False, None),
    "quantization_config": (None,),
}


def read_folder(folder: Path) -> Checkpoint:
    """Opens a language model in a folder of Hugging Face's form.

    Raises:
        PipelineError: A file is missing or damaged, or network or vocabulary are of another form.
    """
    path = folder / CONFIG
    config = read_json(path)
    sizes = read_sizes(path, config)
    arrays = open_folder(folder)
    pairs = read_tokenizer(folder / FILE, sizes["vocabulary"])
    about, generation = (_read_optional(folder / name) for name in (TOKENIZER_CONFIG, GENERATION_CONFIG))
    bos, eos = (_token_text(about.get(name)) for name in ("bos_token", "eos_token"))
    return Checkpoint(
        folder,
        sizes,
        require_number(path, config, "max_position_embeddings"),
        pairs,
        read_chat_template(folder, about),
        bos,
        eos,
        _find_end(pairs, eos, generation, config),
        functools.partial(_read_weight, path, arrays),
        tuple(sorted({file.path for file in arrays.values()})),
    )


def read_sizes(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of `Llama` that a configuration states.

    Raises:
        PipelineError: It states a network of another form.
    """
    for name, plain in PLAIN.items():
        if config.get(name) not in plain:
            raise other_form(path, f"{name} = {plain[0]}", str(config.get(name))[:80])
    heads = require_number(path, config, "num_attention_heads")
    width = require_number(path, config, "hidden_size")
    shared = heads if config.get("num_key_value_heads") is None else require_number(path, config, "num_key_value_heads")
    if config.get("head_dim") not in (None, width // heads):
        raise other_form(path, f"head_dim = {width // heads}, hidden_size by heads", config["head_dim"])
    sizes = {
        "vocabulary": require_number(path, config, "vocab_size"),
        "blocks": require_number(path, config, "num_hidden_layers"),
        "width": width,
        "heads": heads,
        "key_heads": shared,
        "hidden": require_number(path, config, "intermediate_size"),
        "base": _read_base(path, config),
        "epsilon": require_number(path, config, "rms_norm_eps", float),
        "tied": bool(config.get("tie_word_embeddings", False)),
    }
    return require_sizes(path, sizes)


def _read_base(path: Path, config: Mapping[str, Any]) -> float:
    """Returns the base of the rotary positions; newer files have it among `rope_parameters`."""
    stated = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = stated.get("rope_type", stated.get("type", "default")) if isinstance(stated, dict) else stated
    if kind != "default" or config.get("partial_rotary_factor") not in (None, 1, 1.0):
        raise other_form(path, "rotary positions that are not scaled", str(stated)[:120])
    named = {"rope_theta": 10000.0} | {name: config[name] for name in ("rope_theta",) if config.get(name) is not None}
    return float(require_number(path, {**named, **stated}, "rope_theta", float))


def _read_optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _token_text(token: Any) -> str:
    """Returns the text of a token, which is a text or an object with `content`."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else ""


def _find_end(pairs: BytePairs, eos: str, *configs: Mapping[str, Any]) -> tuple[int, ...]:
    """Returns the ids that end an answer: that of the tokenizer, and those of the configurations."""
    known = {pairs.spellings[number].decode(): number for number in pairs.special}
    ids: list[Any] = [known[eos]] if eos in known else []
    for config in configs:
        stated = config.get("eos_token_id")
        ids += stated if isinstance(stated, list) else [stated]
    return tuple(dict.fromkeys(number for number in ids if number in pairs.special))


def _read_weight(path: Path, arrays: Mapping[str, SafetensorsFile], name: str) -> np.ndarray:
    block, _, layer = name.rpartition(".")
    stored = f"model.layers.{block}.{BLOCK_NAMES[layer]}.weight" if block else f"{WHOLE_NAMES[name]}.weight"
    if stored not in arrays:
        raise other_form(path, f"an array {stored}", "none")
    values = arrays[stored].read_array(stored)
    return values.T if block else values
