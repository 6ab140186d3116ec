"""Long bodies of JSON: what they cost, and a parser for those that are not quite standard."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, NoReturn

import numpy as np

from serving.errors import InvalidArgument

LEAST = 1 << 19  # bytes from which on a body is read here: our own parser would take seconds
HEAVY_BYTES = 1 << 21
_HEAVY_MEMORY = 1 << 22  # bytes
MOST_MEMORY = 240  # bytes that a byte of JSON takes at most, see `Size.memory`
_FEW_BYTES = 1 << 12
_BLOCK = 1 << 18  # bytes that are looked at in one step: they stay in the processor's cache
_CHARACTERS = b',[{"'
_BOM = b"\xef\xbb\xbf"
# Escapes of surrogates and numbers beyond a double: the standard parser reads or refuses them in another way, as "Inf".
_ODD = (b"\\ud", b"\\uD", b"e000", b"e+000", b"0" * 200, b"-NaN")
_AS_ZERO = bytes.maketrans(b"123456789E", b"000000000e")


class Size(NamedTuple):
    """What a body is made of: how often each character of JSON comes in it, in texts, too.

    Attributes:
        length: Bytes.
        commas: Characters, as are the others.
        lists: Opened.
        objects: Opened.
        quotes: Two for each text.
    """

    length: int
    commas: int
    lists: int
    objects: int
    quotes: int

    @property
    def parts(self) -> int:
        """How many values there are, at most."""
        return self.commas + self.lists + self.objects

    @property
    def memory(self) -> int:
        """Bytes that the objects of the values take, about, beside the text (64-bit CPython 3.11)."""
        return 40 * self.commas + 64 * self.lists + 240 * self.objects + 25 * self.quotes

    @property
    def is_heavy(self) -> bool:
        """Whether a parser would hold the interpreter for more than two or three milliseconds."""
        return self.length > HEAVY_BYTES or self.memory > _HEAVY_MEMORY


def measure(body: bytes) -> Size:
    """Measures a body; numpy does not hold the interpreter meanwhile."""
    if len(body) < _FEW_BYTES:
        return Size(len(body), *map(body.count, _CHARACTERS))
    counts = [0] * len(_CHARACTERS)
    content = np.frombuffer(body, np.uint8)
    for start in range(0, len(body), _BLOCK):
        block = content[start : start + _BLOCK]
        for index, character in enumerate(_CHARACTERS):
            counts[index] += int(np.count_nonzero(block == character))
    return Size(len(body), *counts)


def parse(body: bytes) -> Any:
    """Parses a long body by the standard library's parser: as linear as our own, at thirty times its speed.

    It takes NaN and infinities, too, and the first of two equal keys. What only our own parser reads is refused: it
    would hold the interpreter for seconds per megabyte. Texts of errors are not upstream's.
    """
    if is_odd(body):
        raise InvalidArgument(
            f"JSON Parse error: Not standard JSON, in a body of more than {LEAST} bytes. at offset: 0"
        )
    try:
        value, _ = _DECODER.raw_decode(body.removeprefix(_BOM).decode("utf-8", "surrogateescape").lstrip(" \t\r\n"))
    except json.JSONDecodeError as error:
        raise InvalidArgument(f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except RecursionError:
        refuse_depth()
    return value


def is_odd(body: bytes) -> bool:
    """Returns whether the standard parser might read or refuse a body in another way than our own one."""
    text = body.translate(_AS_ZERO)  # so that a few searches for texts do what a pattern needs twenty times as long for
    return any(part in text for part in _ODD) or text.count(b"Inf") > text.count(b"Infinity")


def refuse_depth() -> NoReturn:
    """Refuses a long body with more levels than the standard parser reads."""
    raise InvalidArgument("JSON Parse error: Terminate parsing due to Handler error. at offset: 0")


def _first_values(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    value = {}
    for key, item in pairs:
        value.setdefault(key, item)
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_first_values, parse_int=lambda text: read_integer(text.encode()))


def read_integer(digits: bytes) -> int | float:
    """An integer as far as 64 bits reach, else a float; long ones never become an int (that is quadratic)."""
    if len(digits) > 20:  # noqa: PLR2004 - a sign and the digits of 64 bits
        return float(digits)
    value = int(digits)
    return value if -(2**63) <= value < 2**64 else float(digits)
