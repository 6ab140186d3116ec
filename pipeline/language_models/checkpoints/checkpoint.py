"""A language model of Llama's form as its files hold it, whichever form they have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, unreadable_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from pipeline.language_models.byte_pairs import BytePairs

LARGEST_TEXT = 256 * 2**20  # bytes of a file of JSON; the vocabulary of Llama 3 has 9 MB
CHAT_TEMPLATE_FILE = "chat_template.jinja"


@dataclass(frozen=True, eq=False)  # no two are compared, and so it can be a key
class Checkpoint:
    """A language model that is not loaded yet.

    Attributes:
        path: Its file or folder.
        sizes: The arguments of `Llama` that say which network it is.
        context: Tokens of the longest text that it has been trained for.
        pairs: Its vocabulary.
        chat_template: Jinja2 text that makes a prompt of messages; empty if the files have none.
        bos_token: Text of the token that begins a conversation; may be empty.
        eos_token: Text of the token that ends an answer; may be empty.
        end: Ids of which each ends an answer.
        read: Name of a weight of ours -> its values as float32. "words" and "head" are (vocabulary, width), "norm" is
            (width,); "3.query" is that of block 3, (in, out), where the rotary pairs are (i, i + size / 2) of a head.
        shards: The files of the weights.
    """

    path: Path
    sizes: Mapping[str, Any]
    context: int
    pairs: BytePairs
    chat_template: str
    bos_token: str
    eos_token: str
    end: tuple[int, ...]
    read: Callable[[str], np.ndarray]
    shards: tuple[Path, ...]

    @property
    def files(self) -> list[Path]:
        """All that it is read from: the weights, and of a folder the files of JSON and text next to them."""
        if not self.path.is_dir():
            return [self.path]
        texts = [file for ending in ("*.json", "*.jinja", "*.txt") for file in self.path.rglob(ending)]
        return sorted({*self.shards, *(file for file in texts if file.is_file())})


def other_form(path: Path, expected: str, received: object) -> PipelineError:
    """Returns the error for a network that `Llama` is not."""
    return PipelineError(
        f"{path} holds a network of another form than Llama's.",
        expected=expected,
        received=received,
        action="use a model of the Llama family, such as SmolLM2",
    )


def other_vocabulary(path: Path, expected: str, received: object) -> PipelineError:
    """Returns the error for a vocabulary that `BytePairs` would not split exactly as the model's own tokenizer does."""
    return PipelineError(
        f"The vocabulary in {path} is of a kind that is not read here.",
        expected=expected,
        received=received,
        action="use a model with byte-pair encoding as GPT-2's, such as SmolLM2",
    )


def read_json(path: Path) -> dict[str, Any]:
    """Reads an object of JSON.

    Raises:
        PipelineError: The file is missing, damaged, or holds none.
    """
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(LARGEST_TEXT))  # what is longer ends within
    except FileNotFoundError as error:
        raise missing_file(path, [path.name]) from error
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable_file(path, "an object of JSON", error) from error
    if not isinstance(content, dict):
        raise unreadable_file(path, "an object of JSON", TypeError(f"a {type(content).__name__}"))
    return content


def missing_file(path: Path, names: Sequence[str]) -> PipelineError:
    """Returns the error for a folder that lacks a file, or all of some."""
    folder = path.parent
    present = sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []
    return PipelineError(
        f"{folder} is no complete language model.",
        expected=" or ".join(names),
        received=", ".join(present[:12]) or "an empty folder",
        action="copy all files of the model into the folder",
    )


def require_number(path: Path, config: Mapping[str, Any], name: str, kind: type = int) -> Any:
    """Returns a positive number of a configuration.

    Raises:
        PipelineError: There is none.
    """
    value = config.get(name)
    fits = isinstance(value, int | float if kind is float else int) and not isinstance(value, bool) and value > 0
    if not fits:
        raise other_form(path, f"a positive number {name}", "none" if value is None else repr(value))
    return kind(value)


def require_sizes(path: Path, sizes: dict[str, Any]) -> dict[str, Any]:
    """Returns sizes that fit together.

    Raises:
        PipelineError: They do not.
    """
    width, heads, shared = (sizes[name] for name in ("width", "heads", "key_heads"))
    if width % (2 * heads) or heads % shared:
        expected = "heads of an even width, and heads of keys that divide those of queries"
        raise other_form(path, expected, f"width {width}, {heads} heads, {shared} of keys")
    return sizes


def read_chat_template(folder: Path, config: Mapping[str, Any]) -> str:
    """Returns the chat template of a folder: a file, or a member of the tokenizer's configuration; empty without one.

    A list has several by name, of which "default" is for conversations (Hugging Face, "Chat templates").
    """
    file = folder / CHAT_TEMPLATE_FILE
    if file.is_file():
        try:
            return file.read_text("utf-8")
        except (OSError, ValueError) as error:
            raise unreadable_file(file, "a template of Jinja2 in UTF-8", error) from error
    template = config.get("chat_template") or ""
    if isinstance(template, list):
        named = {each.get("name"): each.get("template") for each in template if isinstance(each, dict)}
        template = named.get("default") or ""
    return template if isinstance(template, str) else ""
