"""A language model as a version holds it: what it is, and calls of its signatures.

`assets.extra/language_model.json` says what it is. Its signatures, with keys and values of the conversations (slots) in
the graph:

    tokenize    {text (batch,)} -> {tokens (batch, longest), padded with -1}
    detokenize  {tokens (batch, length), -1 ignored} -> {text (batch,)}, which may be cut inside a character
    prefill     {tokens (length,), slot (), position ()} -> {logits (vocabulary,)} after the last token
    decode      {tokens (slots,), positions (slots,), active (slots,)} -> {logits (slots, vocabulary)}
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.core import predict
from serving.core.session import CALLER_THREAD, RunMode
from serving.core.signature import LANGUAGE_FILE, STATEFUL
from serving.errors import Code, InvalidArgument, ServingError
from serving.wire.strings import as_array

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from serving.core.model import LoadedModel

_SIGNATURES = (*STATEFUL, "tokenize", "detokenize")
TOKEN_BYTES = 32  # of text for each token, beyond which none is tokenized: ten times what texts have
_TOKENIZE = RunMode(in_caller=False, timeout_ms=10_000)


@dataclass(frozen=True)
class LanguageModel:
    """What a language model is.

    Attributes:
        context: Tokens of a conversation at most, with its answer.
        slots: Conversations at a time.
        end: Tokens that end an answer.
        vocabulary: How many tokens there are.
        chat_template: Jinja2 text that makes a prompt of messages; empty where the model has none.
        bos_token: Text of the token that begins a prompt, for the template.
        eos_token: Text of the token that ends a message, for the template.
        special: Texts of tokens that a message may not contain as tokens, see `template.break_special`.
    """

    context: int
    slots: int
    end: frozenset[int]
    vocabulary: int
    chat_template: str = ""
    bos_token: str = ""
    eos_token: str = ""
    special: tuple[str, ...] = ()


def read_language_model(folder: Path) -> LanguageModel | None:
    """What the language model of a version's folder is; None where it holds none.

    Raises:
        InvalidArgument: The file is not as it should be.
    """
    file = folder / LANGUAGE_FILE
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_bytes())
        texts: dict[str, Any] = {
            name: str(content.get(name) or "") for name in ("chat_template", "bos_token", "eos_token")
        }
        numbers: dict[str, Any] = {name: max(1, int(content[name])) for name in ("context", "slots", "vocabulary")}
        special = tuple(str(text) for text in content.get("special") or ())
        about = LanguageModel(**numbers, end=frozenset(map(int, content["end"])), **texts, special=special)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidArgument(
            f"{file} cannot be used.\nExpected: JSON with context, slots, end, vocabulary and chat_template\n"
            f"Received: {type(error).__name__}: {error}\nNext: publish the version anew"
        ) from error
    return about


class LanguageCalls:
    """Calls of a language model's signatures; `prefill` and `decode` are for one thread only.

    Args:
        model: The loaded version.

    Attributes:
        about: What it is.

    Raises:
        InvalidArgument: It is no language model.
    """

    def __init__(self, model: LoadedModel) -> None:
        about = read_language_model(model.path)
        absent = [name for name in _SIGNATURES if name not in model.signatures]
        if about is None or absent:
            raise InvalidArgument(
                "The model writes no text"
                + (f": it has no signature {' and no '.join(absent)}." if absent else f": it has no {LANGUAGE_FILE}.")
            )
        self.about = about
        self._model = model

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of each text.

        Raises:
            DeadlineExceeded: That takes too long.
        """
        encoded = np.empty(len(texts), object)
        encoded[:] = [text.encode("utf-8", "replace") for text in texts]
        rows = self._call("tokenize", "tokens", _TOKENIZE, text=encoded)
        return [row[row >= 0].tolist() for row in rows]

    def detokenize(self, rows: Sequence[Sequence[int]]) -> list[bytes]:
        """Bytes of each row of tokens."""
        tokens = np.full((len(rows), max(map(len, rows), default=0)), -1, np.int32)
        for target, row in zip(tokens, rows, strict=True):
            target[: len(row)] = row
        return [bytes(text) for text in self._call("detokenize", "text", tokens=tokens)]

    def prefill(self, tokens: Sequence[int], slot: int, position: int) -> np.ndarray:
        """Writes a slot's keys and values from a position on; returns (vocabulary,) logits after the last token."""
        numbers = np.asarray(tokens, np.int32)
        return self._call("prefill", "logits", tokens=numbers, slot=np.int32(slot), position=np.int32(position))

    def decode(self, tokens: np.ndarray, positions: np.ndarray, active: np.ndarray) -> np.ndarray:
        """One step of all slots that are active: (slots,) each; returns (slots, vocabulary) logits."""
        return self._call("decode", "logits", tokens=tokens, positions=positions, active=active)

    def warm_up(self) -> None:
        """Runs each signature once: the first run of a graph takes long."""
        slots = self.about.slots
        [tokens] = self.tokenize(["a"])
        self.detokenize([tokens])
        self.prefill(tokens or [0], 0, 0)
        self.decode(np.zeros(slots, np.int32), np.zeros(slots, np.int32), np.zeros(slots, bool))

    def _call(self, signature: str, output: str, mode: RunMode = CALLER_THREAD, **inputs: Any) -> np.ndarray:
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        fetch, _ = predict.prepare(self._model, signature, arrays, (output,))
        [value] = self._model.run(fetch, mode)
        array = as_array(value)
        if array.dtype.kind == "f" and not np.isfinite(array).any():
            raise ServingError(f"The signature {signature} gave no finite number.", Code.INTERNAL)
        return array


def warm_up(model: LoadedModel) -> LoadedModel:
    """A language model after `LanguageCalls.warm_up`, or another model as it is; closed if that fails.

    Raises:
        ServingError: It says that it is a language model, and is none.
    """
    if not model.reserved:
        return model
    try:
        LanguageCalls(model).warm_up()
    except BaseException:
        model.close()
        raise
    return model
