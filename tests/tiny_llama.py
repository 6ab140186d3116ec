"""A tiny language model of Llama's form in every form of file; run by the fixture `tiny_llama`."""

from __future__ import annotations

import json
import struct

import numpy as np

BLOCKS, WIDTH, HEADS, KEY_HEADS, HIDDEN, VOCABULARY = 2, 32, 4, 2, 48, 320
BASE, EPSILON, CONTEXT = 20000.0, 1e-5, 512
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
PIECES = ("user", "assistant", "system", " the", " is", " capital", "What", "It", " good", "ing", "er", "on")
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
HUB_SPECIAL = ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")
HUB_TEMPLATE = TEMPLATE.replace("<|im_start|>", HUB_SPECIAL[0]).replace("<|im_end|>", HUB_SPECIAL[2])
DIGITS = {"type": "Digits", "individual_digits": True}
LETTERS = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def byte_letters():
    """The letter of each byte in GPT-2's files (encoder.py, bytes_to_unicode)."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + place) for place, byte in enumerate(hidden)}


def vocabulary(special=SPECIAL):
    """Tokens by id, and merges: each piece from the left."""
    letters = byte_letters()
    tokens, merges = [*special, *letters.values()], []
    for piece in PIECES:
        spelled = [letters[byte] for byte in piece.encode()]
        for end in range(1, len(spelled)):
            left = "".join(spelled[:end])
            if (left, spelled[end]) not in merges:
                merges.append((left, spelled[end]))
                tokens.append(left + spelled[end])
    return list(dict.fromkeys(tokens)), merges


def arrays(*, tied=True, seed=0):
    """Weights by Hugging Face's names, (out, in) each."""
    random = np.random.default_rng(seed)
    size = WIDTH // HEADS
    shapes = {"model.embed_tokens": (VOCABULARY, WIDTH), "model.norm": (WIDTH,)}
    shapes |= {} if tied else {"lm_head": (VOCABULARY, WIDTH)}
    for number in range(BLOCKS):
        name = f"model.layers.{number}."
        shapes |= {name + part: (WIDTH,) for part in ("input_layernorm", "post_attention_layernorm")}
        shapes |= {name + "self_attn.q_proj": (WIDTH, WIDTH), name + "self_attn.o_proj": (WIDTH, WIDTH)}
        shapes |= {name + f"self_attn.{part}_proj": (KEY_HEADS * size, WIDTH) for part in "kv"}
        shapes |= {name + f"mlp.{part}_proj": (HIDDEN, WIDTH) for part in ("gate", "up")}
        shapes[name + "mlp.down_proj"] = (WIDTH, HIDDEN)
    return {
        f"{name}.weight": (random.normal(size=shape) * 0.3 + (len(shape) == 1)).astype(np.float32)
        for name, shape in shapes.items()
    }


def logits(weights, ids):
    """Logits after each token of one row, (length, vocabulary), by the formulas of modeling_llama.py."""
    x, size = weights["model.embed_tokens.weight"][ids].astype(np.float64), WIDTH // HEADS
    angle = np.arange(len(ids))[:, None] * BASE ** (-np.arange(0, size, 2) / size)
    angle = np.concatenate([angle, angle], axis=1)[:, None]

    def norm(values, name):
        return values / np.sqrt((values**2).mean(-1, keepdims=True) + EPSILON) * weights[f"{name}.weight"]

    def turn(values):
        half = np.concatenate([-values[..., size // 2 :], values[..., : size // 2]], axis=-1)
        return values * np.cos(angle) + half * np.sin(angle)

    for number in range(BLOCKS):
        part = {name.partition(f"layers.{number}.")[2]: value for name, value in weights.items()}
        normal = norm(x, f"model.layers.{number}.input_layernorm")
        query, key, value = (
            (normal @ part[f"self_attn.{name}_proj.weight"].T).reshape(len(ids), -1, size) for name in "qkv"
        )
        query, key = turn(query), turn(key)
        key, value = (np.repeat(each, HEADS // KEY_HEADS, axis=1) for each in (key, value))
        scores = np.einsum("qhs,khs->hqk", query, key) / np.sqrt(size)
        scores = np.where(np.tri(len(ids), dtype=bool), scores, -np.inf)
        share = np.exp(scores - scores.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        x = x + np.einsum("hqk,khs->qhs", share, value).reshape(len(ids), -1) @ part["self_attn.o_proj.weight"].T
        normal = norm(x, f"model.layers.{number}.post_attention_layernorm")
        gate = normal @ part["mlp.gate_proj.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * (normal @ part["mlp.up_proj.weight"].T)) @ part["mlp.down_proj.weight"].T
    return norm(x, "model.norm") @ weights.get("lm_head.weight", weights["model.embed_tokens.weight"]).T


def write_arrays(path, values, kind="F32"):
    """A file of safetensors."""
    entries, content = {"__metadata__": {"format": "pt"}}, b""
    for name, value in values.items():
        if kind == "BF16":
            raw = (value.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
        else:
            raw = value.astype({"F32": "<f4", "F16": "<f2", "F64": "<f8"}[kind]).tobytes()
        entries[name] = {"dtype": kind, "shape": value.shape, "data_offsets": [len(content), len(content) + len(raw)]}
        content += raw
    header = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + content)


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_folder(folder, *, tied=True, kind="F32", shards=1, config=None, tokenizer=None, seed=0):
    """A folder as save_pretrained writes it; `config` and `tokenizer` replace members of the files."""
    weights = arrays(tied=tied, seed=seed)
    stated = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "num_hidden_layers": BLOCKS,
        "hidden_size": WIDTH,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KEY_HEADS,
        "intermediate_size": HIDDEN,
        "rope_theta": BASE,
        "rms_norm_eps": EPSILON,
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": tied,
        "eos_token_id": 2,
    }
    write_json(folder / "config.json", stated | (config or {}))
    tokens, merges = vocabulary()
    added = [{"id": place, "content": text, "special": True, "normalized": False} for place, text in enumerate(SPECIAL)]
    model = {"type": "BPE", "vocab": {text: place for place, text in enumerate(tokens)}}
    model["merges"] = [" ".join(merge) for merge in merges]
    words = {"type": "Sequence", "pretokenizers": [DIGITS, LETTERS]}
    content = {"added_tokens": added, "normalizer": None, "pre_tokenizer": words, "model": model}
    write_json(folder / "tokenizer.json", content | (tokenizer or {}))
    about = {"bos_token": "<|im_start|>", "eos_token": {"content": "<|im_end|>"}, "chat_template": TEMPLATE}
    write_json(folder / "tokenizer_config.json", about)
    if shards == 1:
        write_arrays(folder / "model.safetensors", weights, kind)
        return folder
    parts = [dict(list(weights.items())[place::shards]) for place in range(shards)]
    names = [f"model-{place + 1:05}-of-{shards:05}.safetensors" for place in range(shards)]
    for name, part in zip(names, parts, strict=True):
        write_arrays(folder / name, part, kind)
    places = {name: file for file, part in zip(names, parts, strict=True) for name in part}
    write_json(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": places})
    return folder


def permute(weights, heads):
    """`LlamaModel.permute` of convert_hf_to_gguf.py."""
    return weights.reshape(heads, 2, len(weights) // heads // 2, weights.shape[1]).swapaxes(1, 2).reshape(weights.shape)


GGUF_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(path, *, tied=True, architecture="llama", without=(), own=(), seed=0):
    """A GGUF file, as llama.cpp's converter writes it."""
    import gguf

    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(CONTEXT)
    writer.add_block_count(BLOCKS)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_freq_base(BASE)
    tokens, merges = vocabulary()
    tokens += [f"[unused{place}]" for place in range(VOCABULARY - len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in SPECIAL else 4 if token in own else 1 for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(TEMPLATE)
    whole = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    heads = {"self_attn.q_proj": HEADS, "self_attn.k_proj": KEY_HEADS}
    for name, value in arrays(tied=tied, seed=seed).items():
        short = name.removesuffix(".weight")
        _, _, behind = short.partition("layers.")
        number, _, part = behind.partition(".")
        stored = f"blk.{number}.{GGUF_NAMES[part]}" if part else whole[short]
        if stored not in without:
            values = permute(value, heads[part]) if part in heads else value
            writer.add_tensor(f"{stored}.weight", np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


HUB_NAMES = {
    "input_layernorm": "_self_attention_layernorm",
    "self_attn.q_proj": "_self_attention_layer/_query_dense",
    "self_attn.k_proj": "_self_attention_layer/_key_dense",
    "self_attn.v_proj": "_self_attention_layer/_value_dense",
    "self_attn.o_proj": "_self_attention_layer/_output_dense",
    "post_attention_layernorm": "_feedforward_layernorm",
    "mlp.gate_proj": "_feedforward_gate_dense",
    "mlp.up_proj": "_feedforward_intermediate_dense",
    "mlp.down_proj": "_feedforward_output_dense",
}


def hub_arrays(*, tied=True, seed=0):
    """Weights by their places in the file of a preset."""
    placed = {}
    for name, value in arrays(tied=tied, seed=seed).items():
        short = name.removesuffix(".weight")
        _, _, behind = short.partition("layers.")
        number, _, part = behind.partition(".")
        if not part:
            place = {"model.embed_tokens": "reversible_embedding/vars/0", "model.norm": "llama_layer_norm/vars/0"}
            placed["layers/" + place.get(short, "reversible_embedding/vars/1")] = (
                value.T if short == "lm_head" else value
            )
            continue
        kernel = value.T
        if part in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"):
            kernel = kernel.reshape(WIDTH, -1, WIDTH // HEADS)
        if part == "self_attn.o_proj":
            kernel = kernel.reshape(HEADS, WIDTH // HEADS, WIDTH)
        block = "llama_transformer_decoder" + (f"_{number}" if number != "0" else "")
        placed[f"layers/{block}/{HUB_NAMES[part]}/vars/0"] = kernel
    return placed


def write_preset(folder, *, tied=True, config=None, tokenizer=None, seed=0):
    """A preset folder of Keras Hub; `config` and `tokenizer` replace members of the files."""
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    stated = {
        "vocabulary_size": VOCABULARY,
        "num_layers": BLOCKS,
        "hidden_dim": WIDTH,
        "num_query_heads": HEADS,
        "num_key_value_heads": KEY_HEADS,
        "intermediate_dim": HIDDEN,
        "rope_max_wavelength": BASE,
        "rope_position_scaling_factor": 1.0,
        "rope_frequency_adjustment_factor": None,
        "layer_norm_epsilon": EPSILON,
    }
    name = {"module": "keras_hub.src.models.llama3.llama3_backbone", "class_name": "Llama3Backbone"}
    write_json(folder / "config.json", {**name, "config": stated | (config or {})})
    name = {"module": "keras_hub.src.models.llama3.llama3_tokenizer", "class_name": "Llama3Tokenizer"}
    write_json(folder / "tokenizer.json", {**name, "config": {"add_prefix_space": False}} | (tokenizer or {}))
    tokens, merges = vocabulary(HUB_SPECIAL)
    ids = {text: place for place, text in enumerate(tokens)}
    write_json(folder / "assets/tokenizer/vocabulary.json", ids)
    (folder / "assets/tokenizer/merges.txt").write_text("\n".join(map(" ".join, merges)) + "\n", "utf-8")
    (folder / "chat_template.jinja").write_text(HUB_TEMPLATE)
    with h5py.File(folder / "model.weights.h5", "w") as file:
        for place, value in hub_arrays(tied=tied, seed=seed).items():
            file[place] = value
    return folder


def conversation(number, turns=1, system=False):
    """Messages that have something in common: the answer repeats what was asked for."""
    messages = [{"role": "system", "content": "It is good."}] if system else []
    for turn in range(turns):
        word = ("red", "green", "blue", "white")[(number + turn) % 4]
        messages.append({"role": "user", "content": f"What is {word} {number}?"})
        messages.append({"role": "assistant", "content": f"It is {word}."})
    return messages


def write_chats(path, count=120, turns=1, extra=()):
    """JSON lines of conversations, and further lines as they are."""
    lines = [json.dumps({"messages": conversation(number, turns)}) for number in range(count)]
    path.write_text("\n".join([*lines, *extra]) + "\n", "utf-8")
    return path
