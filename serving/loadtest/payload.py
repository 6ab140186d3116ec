"""Values for a signature's inputs: given ones, or generated ones."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.errors import InvalidArgument
from serving.model import as_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.core.signature import Signature, TensorInfo

TEXT = "the quick brown fox"
_SEED = 1
_SMALL = 10  # generated integers are below: an index into something is then likely to exist


def json_body(inputs: Sequence[str]) -> bytes | None:
    """The content of the one file that holds a whole request; None where there is no such file."""
    if len(inputs) != 1 or not _is_file(inputs[0]):
        return None
    content = Path(inputs[0]).read_bytes()
    try:
        document = json.loads(content)
    except ValueError:
        return None
    whole = isinstance(document, dict) and ("instances" in document or "inputs" in document)
    return content if whole else None


def arrays(signature: Signature, inputs: Sequence[str], rows: int) -> dict[str, np.ndarray]:
    """An array for each input.

    Args:
        signature: Names, types and shapes.
        inputs: Files or JSON values, `NAME=` before them where there are several inputs; the rest is generated.
        rows: First size where the signature leaves it open; other open sizes are 1. A value that is one row is
            repeated as often.

    Raises:
        InvalidArgument: A name or value that does not fit.
    """
    given = _by_name(signature, inputs)
    chance = random.Random(_SEED)  # noqa: S311 - no secret
    return {
        name: _given(given[name], name, info, rows) if name in given else _generated(info, rows, chance)
        for name, info in signature.inputs.items()
    }


def _by_name(signature: Signature, inputs: Sequence[str]) -> dict[str, str]:
    names = list(signature.inputs)
    if len(names) == 1 and len(inputs) == 1 and inputs[0].partition("=")[0] != names[0]:
        return {names[0]: inputs[0]}
    pairs = {key: value for key, _, value in (text.partition("=") for text in inputs)}
    if not pairs.keys() <= set(names):
        raise InvalidArgument(
            f"The inputs do not fit {signature.name}.\nExpected: {' '.join(f'{name}=VALUE' for name in names)}\n"
            f"Received: {' '.join(inputs)}"
        )
    return pairs


def _given(text: str, name: str, info: TensorInfo, rows: int) -> np.ndarray:
    """A file's bytes or a text where the input takes strings, else a JSON value."""
    value: Any = Path(text).read_bytes() if _is_file(text) else text
    if info.dtype.name != "string":
        try:
            value = json.loads(value)
        except ValueError:
            raise InvalidArgument(
                f"The value of {name} is no {info.dtype.name}.\nExpected: {name}=NUMBER, a JSON list, or a file with "
                f"one\nReceived: {text}"
            ) from None
    array = as_array(value, info.dtype)
    if info.shape and array.ndim == len(info.shape) - 1:
        array = np.repeat(array[np.newaxis], rows, axis=0)
    return array


def _generated(info: TensorInfo, rows: int, chance: random.Random) -> np.ndarray:
    declared = info.shape if info.shape is not None else (-1,)
    shape = tuple((rows if axis == 0 else 1) if size < 0 else size for axis, size in enumerate(declared))
    array = np.empty(shape, dtype=info.dtype.numpy)
    array.reshape(-1)[...] = [_value(info.dtype.numpy, chance) for _ in range(array.size)]
    return array


def _value(kind: np.dtype | None, chance: random.Random) -> Any:
    if kind is None or kind.kind == "O":
        return TEXT.encode()
    if kind.kind in "iub":
        return chance.randrange(2 if kind.kind == "b" else _SMALL)
    return chance.random()


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or a zero in it
        return False
