"""A preset of Keras Hub, of the classes LlamaBackbone and Llama3Backbone with byte-pair encoding.

A preset is a folder with config.json, model.weights.h5 (or several with model.weights.json), tokenizer.json and
assets/tokenizer with vocabulary.json and merges.txt. It has no chat template: put chat_template.jinja next to them.
The weights are read by their places in the file; no class that the files name is made. Texts are split as Llama 3 does
it, for which such models are trained. Keras Hub 0.32 states the same pattern, but hands it to its tokenizer as a plain
text, which splits nothing: the tokens of several spaces in a row differ there.

Source: https://github.com/keras-team/keras-hub, models/llama/llama_backbone.py, llama_decoder.py, llama_attention.py,
models/llama3/llama3_tokenizer.py, tokenizers/byte_pair_tokenizer.py, and Keras' saving/saving_lib.py.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import unreadable_file
from pipeline.language_models.byte_pairs import LLAMA, BytePairs
from pipeline.language_models.checkpoints.checkpoint import (
    Checkpoint,
    missing_file,
    other_form,
    other_vocabulary,
    read_chat_template,
    read_json,
    require_number,
    require_sizes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import h5py

CONFIG, TOKENIZER, WEIGHTS, SHARDS = "config.json", "tokenizer.json", "model.weights.h5", "model.weights.json"
VOCABULARY, MERGES = "assets/tokenizer/vocabulary.json", "assets/tokenizer/merges.txt"
BACKBONES, TOKENIZERS = ("LlamaBackbone", "Llama3Backbone"), ("Llama3Tokenizer", "BytePairTokenizer")
BEGIN, END = "<|begin_of_text|>", ("<|eot_id|>", "<|end_of_text|>")
WHOLE_NAMES = {
    "words": "layers/reversible_embedding/vars/0",
    "head": "layers/reversible_embedding/vars/1",
    "norm": "layers/llama_layer_norm/vars/0",
}
BLOCK_NAMES = {  # of our layers and of the parts of theirs
    "attention_norm": "_self_attention_layernorm",
    "query": "_self_attention_layer/_query_dense",
    "key": "_self_attention_layer/_key_dense",
    "value": "_self_attention_layer/_value_dense",
    "mix": "_self_attention_layer/_output_dense",
    "dense_norm": "_feedforward_layernorm",
    "gate": "_feedforward_gate_dense",
    "wide": "_feedforward_intermediate_dense",
    "narrow": "_feedforward_output_dense",
}
SCALED = ("rope_frequency_adjustment_factor", "rope_low_freq_factor", "rope_high_freq_factor")


def is_preset(config: Mapping[str, Any]) -> bool:
    """Returns whether a config.json is that of a preset."""
    return "class_name" in config and isinstance(config.get("config"), dict)


def read_preset(folder: Path) -> Checkpoint:
    """Opens a language model in a preset folder.

    Raises:
        PipelineError: A file is missing or damaged, or network or vocabulary are of another form.
    """
    path = folder / CONFIG
    stated = read_json(path)
    if stated.get("class_name") not in BACKBONES:
        raise other_form(path, f"class_name = {' or '.join(BACKBONES)}", stated.get("class_name"))
    shards = _find_shards(folder)
    sizes = read_sizes(path, stated["config"]) | {"tied": _get_array(folder, shards, WHOLE_NAMES["head"]) is None}
    pairs = read_vocabulary(folder, sizes["vocabulary"])
    names = {pairs.spellings[number].decode(): number for number in pairs.special}
    ends = [name for name in END if name in names]
    return Checkpoint(
        folder,
        sizes,
        8192,  # a preset does not say it; Llama 3's
        pairs,
        read_chat_template(folder, {}),
        BEGIN if BEGIN in names else "",
        ends[0] if ends else "",
        tuple(names[name] for name in ends),
        functools.partial(_read_weight, folder, shards, sizes["width"]),
        shards,
    )


def read_sizes(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of `Llama` that a preset states; whether it is tied only the weights say.

    Raises:
        PipelineError: Its positions are scaled, or a number is missing.
    """
    scaled = [name for name in SCALED if config.get(name) is not None]
    if scaled or config.get("rope_position_scaling_factor", 1.0) != 1.0:
        raise other_form(path, "rotary positions that are not scaled", ", ".join(scaled) or "a scaling factor")
    names = {
        "vocabulary": "vocabulary_size",
        "blocks": "num_layers",
        "width": "hidden_dim",
        "heads": "num_query_heads",
        "key_heads": "num_key_value_heads",
        "hidden": "intermediate_dim",
    }
    sizes: dict[str, Any] = {own: require_number(path, config, name) for own, name in names.items()}
    sizes["base"] = require_number(path, {"rope_max_wavelength": 10000, **config}, "rope_max_wavelength", float)
    sizes["epsilon"] = require_number(path, {"layer_norm_epsilon": 1e-6, **config}, "layer_norm_epsilon", float)
    return require_sizes(path, sizes)


def read_vocabulary(folder: Path, vocabulary: int) -> BytePairs:
    """Reads the vocabulary of a preset.

    Raises:
        PipelineError: A file is missing or damaged, or the vocabulary is of another kind.
    """
    path = folder / TOKENIZER
    stated = read_json(path)
    settings: Any = stated.get("config") if isinstance(stated.get("config"), dict) else {}
    if stated.get("class_name") not in TOKENIZERS or settings.get("add_prefix_space"):
        expected = f"class_name = {' or '.join(TOKENIZERS)}, without add_prefix_space"
        raise other_vocabulary(path, expected, str(stated.get("class_name")))
    ids = read_json(folder / VOCABULARY)
    tokens = [""] * vocabulary
    for text, number in ids.items():
        if type(number) is not int or not 0 <= number < vocabulary:
            raise other_vocabulary(folder / VOCABULARY, f"ids from 0 to {vocabulary - 1}", f"{text!r}: {number!r}")
        tokens[number] = text
    whole = settings.get("unsplittable_tokens") or []
    special = [ids[text] for text in whole if isinstance(text, str) and text in ids]
    special += [number for text, number in ids.items() if text.startswith("<|") and text.endswith("|>")]
    return BytePairs.from_tokens(tokens, tuple(dict.fromkeys(special)), _read_merges(folder / MERGES), LLAMA)


def _read_merges(path: Path) -> list[list[str]]:
    try:
        lines = path.read_text("utf-8").split("\n")
    except FileNotFoundError as error:
        raise missing_file(path, [path.name]) from error
    except (OSError, ValueError) as error:
        raise unreadable_file(path, "a merge of two tokens in each line", error) from error
    return [line.split(" ") for line in lines if line and not line.startswith("#version:")]


def _find_shards(folder: Path) -> tuple[Path, ...]:
    """Returns the files of the weights: one, or those that Keras' index names."""
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if not (folder / SHARDS).is_file():
        raise missing_file(folder / WEIGHTS, [WEIGHTS, SHARDS])
    places = read_json(folder / SHARDS).get("weight_map")
    files = []
    for stated in (places if isinstance(places, dict) else {}).values():
        for name in stated if isinstance(stated, list) else [stated]:
            if not isinstance(name, str) or not name.endswith(".h5") or {"/", "\\"} & set(name):
                raise unreadable_file(folder / SHARDS, "names of files that end in .h5", ValueError(repr(name)[:80]))
            if not (folder / name).is_file():
                raise missing_file(folder / name, [name])
            files.append(folder / name)
    return tuple(sorted(set(files)))


def _read_weight(folder: Path, shards: Sequence[Path], width: int, name: str) -> np.ndarray:
    block, _, layer = name.rpartition(".")
    number = f"_{block}" if block not in ("", "0") else ""
    stored = f"layers/llama_transformer_decoder{number}/{BLOCK_NAMES[layer]}/vars/0" if block else WHOLE_NAMES[name]
    values = _get_array(folder, shards, stored)
    if values is None:
        raise other_form(folder, f"an array {stored} in {WEIGHTS}", "none")
    if name == "head":
        return values.T
    return values.reshape((-1, width) if layer == "mix" else (width, -1)) if values.ndim > 2 else values  # noqa: PLR2004


def _get_array(folder: Path, shards: Sequence[Path], stored: str) -> np.ndarray | None:
    """Returns an array of the weights; None if there is none of that name."""
    import h5py

    try:
        for path in shards:
            with h5py.File(path, "r") as file:
                array = file.get(stored)
                if isinstance(array, h5py.Dataset):
                    _require_own(path, array)
                    return _to_float32(array[()], str(array.attrs.get("dtype", "")))
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise unreadable_file(folder / WEIGHTS, "weights that Keras has written", error) from error
    return None


def _require_own(path: Path, array: h5py.Dataset) -> None:
    """Raises a ValueError if the numbers of an array are in another file: HDF5 has links to any path."""
    if array.file.filename != str(path) or array.external or array.is_virtual:
        raise ValueError(f"{array.name} is a link to another file")


def _to_float32(values: np.ndarray, kind: str) -> np.ndarray:
    """Returns numbers as Keras writes them; HDF5 has no type for bfloat16."""
    if kind == "bfloat16":
        return (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return np.asarray(values, np.float32)
