"""The file tokenizer.json of Hugging Face's tokenizers, as far as `BytePairs` does exactly what it says.

Source: https://github.com/huggingface/tokenizers, the serialised forms of `BPE`, `ByteLevel`, `Digits`, `Split` and
`AddedToken`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.language_models.byte_pairs import GPT_2, LLAMA, SMOLLM, BytePairs
from pipeline.language_models.checkpoints.checkpoint import other_vocabulary, read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "tokenizer.json"
EXPECTED_WORDS = "a pre_tokenizer that is ByteLevel, alone or behind Digits of single digits, or Llama 3's"
LLAMA_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
# Settings of the model that would change tokens, and the values with which they do not.
PLAIN_MODEL: dict[str, tuple[Any, ...]] = {
    "type": ("BPE",),
    "dropout": (None, 0.0),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (None, False),
    "ignore_merges": (None, False),
}


def read_tokenizer(path: Path, vocabulary: int) -> BytePairs:
    """Reads a vocabulary.

    Args:
        path: The file tokenizer.json.
        vocabulary: Tokens that the network knows; it may know more than there are.

    Raises:
        PipelineError: The file is missing, damaged, or would split texts in a way that is not reproduced here.
    """
    content = read_json(path)
    model, added = _part(path, content, "model", dict), _part(path, content, "added_tokens", list)
    for name, plain in PLAIN_MODEL.items():
        if model.get(name) not in plain:
            raise other_vocabulary(path, f"model.{name} = {plain[0]!r}", repr(model.get(name))[:80])
    if content.get("normalizer") is not None:
        raise other_vocabulary(path, "no normalizer", _name_of(content["normalizer"]))
    words = _find_words(path, content.get("pre_tokenizer"))
    tokens, special = _place_tokens(path, _part(path, model, "vocab", dict), added, vocabulary)
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in _part(path, model, "merges", list)]
    if not all(isinstance(merge, list) and all(isinstance(part, str) for part in merge) for merge in merges):
        raise other_vocabulary(path, "model.merges with two texts each", "others")
    return BytePairs.from_tokens(tokens, special, merges, words)


def _part(path: Path, content: Mapping[str, Any], name: str, kind: type) -> Any:
    value = content.get(name)
    if not isinstance(value, kind):
        raise other_vocabulary(path, f"{name}, a {kind.__name__}", type(value).__name__)
    return value


def _name_of(part: Any) -> str:
    return str(part.get("type")) if isinstance(part, dict) else type(part).__name__


def _find_words(path: Path, part: Any) -> str:
    """Returns the pattern of `BytePairs` for a pre-tokenizer."""
    listed = part.get("pretokenizers") if _name_of(part) == "Sequence" else [part]
    steps = listed if isinstance(listed, list) and all(isinstance(step, dict) for step in listed) else []
    names = [_name_of(step) for step in steps]
    last = steps[-1] if steps else {}
    splits = last.get("use_regex", True)
    if names and names[-1] == "ByteLevel" and not last.get("add_prefix_space"):
        if names == ["ByteLevel"] and splits:
            return GPT_2
        if names == ["Digits", "ByteLevel"] and splits and steps[0].get("individual_digits") is True:
            return SMOLLM
        if names == ["Split", "ByteLevel"] and not splits and _is_llama_split(steps[0]):
            return LLAMA
    received = ", ".join(names) or _name_of(part)
    raise other_vocabulary(path, EXPECTED_WORDS, f"{received}: {str(part)[:160]}")


def _is_llama_split(step: Mapping[str, Any]) -> bool:
    plain = step.get("behavior") == "Isolated" and not step.get("invert")
    return plain and step.get("pattern") == {"Regex": LLAMA_SPLIT}


def _place_tokens(
    path: Path, ids: Mapping[str, Any], added: list[Any], vocabulary: int
) -> tuple[list[str], tuple[int, ...]]:
    """Returns the token of each id, "" where none is, and the ids of the special ones."""
    special = {}
    for token in added:
        if not isinstance(token, dict) or not _is_plain(token):
            expected = "added tokens that are special, and match nothing but their own text"
            raise other_vocabulary(path, expected, str(token)[:160])
        special[token["content"]] = token["id"]
    tokens = [""] * vocabulary
    for text, number in {**ids, **special}.items():
        if type(number) is not int or not 0 <= number < vocabulary:
            raise other_vocabulary(path, f"ids from 0 to {vocabulary - 1}", f"{text!r}: {number!r}")
        tokens[number] = text
    return tokens, tuple(sorted(special.values()))


def _is_plain(token: Mapping[str, Any]) -> bool:
    text, flags = token.get("content"), ("single_word", "lstrip", "rstrip")
    return bool(token.get("special") and isinstance(text, str) and text and not any(map(token.get, flags)))
