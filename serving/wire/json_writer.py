"""Writes JSON as TensorFlow Serving does: 4 spaces, `%g` numbers, strings as they are.

A number for which `%g` reads back as another one gets all the digits that it has. `orjson` writes the shortest digits
of a double, so a float32 that is rounded to 6 or 9 digits in double precision comes out as `%g` and `%.9g` write it, as
long as neither takes an exponent.
"""

from __future__ import annotations

import itertools
import math
import re
from array import array
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pybase64

from serving.wire.deadline import check_deadline
from serving.wire.strings import Strings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from serving.wire.strings import Tensor


INDENT = "    "
DEBUG_BYTES = 256
_SMALL, _LARGE = 1e-6, 1e21  # outside of these a number is written with an exponent
_SPECIAL = re.compile(r'[\x00-\x1f"\\]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_END: Any = object()
_MANY = 32  # numbers from which on it pays to look at all of them first
_PIECE = 1 << 14  # numbers that are written in one step, which holds the interpreter for a millisecond
_MARGIN = 0.1
_DIGITS = {"f": 9}  # that each float32 needs; others 17
_LOW, _HIGH = 1e-4, 1e6  # between these, no form takes an exponent
_BOUNDS = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6])
# What makes six digits of a number before the first bound, between the first two, and so on. Times a float32, or a
# thousand times that, it is exact in a double.
_SIX = np.array([1e9, 1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1e0, 1e0])


def quote_string(text: str) -> str:
    """A JSON string; only what must be escaped is."""
    return f'"{_SPECIAL.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    return _SHORT.get(match[0]) or f"\\u{ord(match[0]):04X}"


def error_body(message: str) -> bytes:
    """The body of every failed request."""
    return f'{{\n    "error": {quote_string(message)}\n}}'.encode("utf-8", "surrogateescape")


def element_texts(array: Tensor, *, as_base64: bool = False, indent: str = "") -> Iterable[str]:
    """The JSON texts of an array's elements, in row-major order; of many elements, few are in memory at a time.

    Args:
        array: Any shape; float16, float32, float64, integers, bool, object of bytes or `Strings`.
        as_base64: Write bytes as `{"b64": ...}` objects.
        indent: White space before the closing bracket of such an object.
    """
    if isinstance(array, Strings):
        return itertools.chain.from_iterable(_string_texts(piece, as_base64, indent) for piece in array.pieces())
    flat = array.reshape(-1)
    if flat.size <= _PIECE:
        return _piece_texts(flat, as_base64, indent)
    pieces = (flat[start : start + _PIECE] for start in range(0, flat.size, _PIECE))
    return itertools.chain.from_iterable(_piece_texts(piece, as_base64, indent) for piece in pieces)


def _piece_texts(flat: np.ndarray, as_base64: bool, indent: str) -> list[str]:
    if flat.dtype.kind == "f":
        return float_texts(flat)
    if flat.dtype.kind == "b":
        return ["true" if item else "false" for item in flat.tolist()]
    if flat.dtype.kind in "iu":
        return list(map(str, flat.tolist()))
    return _string_texts(flat, as_base64, indent)


def _string_texts(strings: Iterable[bytes], as_base64: bool, indent: str) -> list[str]:
    if as_base64:
        return [_base64_text(item, indent) for item in strings]
    return [quote_string(item.decode("utf-8", "surrogateescape")) for item in strings]


def _base64_text(item: bytes, indent: str) -> str:
    return f'{{\n{indent}{INDENT}"b64": "{pybase64.b64encode(item).decode()}"\n{indent}}}'


def nest_texts(texts: Iterator[str], shape: tuple[int, ...], depth: int) -> Iterator[str]:
    """Elements in their brackets, in pieces.

    Args:
        texts: One JSON text per element, row-major.
        shape: The shape that they have; () for a scalar.
        depth: How many containers are open around it, for the indentation.
    """
    for axis in reversed(range(len(shape))):
        indent = f"\n{INDENT * (depth + axis)}"
        separator, end = f",{indent}{INDENT}", f"{indent}]"
        if not axis:
            return _group_pieces(texts, shape[0], f"[{separator[1:]}", separator, end)
        texts = _group_texts(texts, shape[axis], math.prod(shape[:axis]), f"[{separator[1:]}", separator, end)
    return texts


def row_texts(texts: Iterable[str], shape: tuple[int, ...]) -> Iterable[str]:
    """Elements in the brackets of each row of their array, each row on one line.

    Args:
        texts: One JSON text per element, row-major; a list gives a list.
        shape: The array's shape, with the rows first.
    """
    for axis in reversed(range(1, len(shape))):
        size, count = shape[axis], math.prod(shape[:axis])
        if isinstance(texts, list):
            texts = [f"[{', '.join(texts[row * size : (row + 1) * size])}]" for row in range(count)]
        else:
            texts = _group_texts(iter(texts), size, count, "[", ", ", "]")
    return texts


def _group_texts(texts: Iterator[str], size: int, count: int, start: str, separator: str, end: str) -> Iterator[str]:
    for _ in range(count):
        yield "".join(_group_pieces(texts, size, start, separator, end))


def _group_pieces(texts: Iterator[str], size: int, start: str, separator: str, end: str) -> Iterator[str]:
    if size:
        yield start
        yield from join_texts(separator, itertools.islice(texts, size))
    yield end if size else "[]"


def join_texts(separator: str, texts: Iterable[str]) -> Iterator[str]:
    """The same as `separator.join`, in pieces that others may come between."""
    rest, before = iter(texts), ""
    while piece := list(itertools.islice(rest, _PIECE)):
        check_deadline()
        yield f"{before}{separator.join(piece)}"
        before = separator


def debug_text(value: Any) -> str:
    """The first 256 bytes of a document, as error texts quote it; no more of it is written."""
    text = ""
    for part in _debug_parts(value):
        text += part
        if len(text) > DEBUG_BYTES:
            break
    return text.encode("utf-8", "surrogateescape")[:DEBUG_BYTES].decode("utf-8", "surrogateescape")


def _debug_parts(value: Any) -> Iterator[str]:
    """The text piece by piece, with the open containers on a stack so that depth costs nothing."""
    stack: list[tuple[str, Iterator[Any]]] = []
    while True:
        if isinstance(value, dict) and value:
            stack.append(("}", iter(value.items())))
            yield "{"
        elif isinstance(value, list) and value:
            stack.append(("]", iter(value)))
            yield "["
        else:
            yield _scalar_text(value)
        opened = isinstance(value, (dict, list)) and bool(value)
        while stack:
            end, items = stack[-1]
            item = next(items, _END)
            if item is not _END:
                break
            stack.pop()
            yield end if end == "]" else f"\n{INDENT * len(stack)}}}"
            opened = False
        else:
            return
        if end == "]":
            yield "" if opened else ", "
            value = item
        else:
            yield f"{'' if opened else ','}\n{INDENT * len(stack)}{quote_string(item[0])}: "
            value = item[1]


def _scalar_text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (dict, list)):
        return "{}" if isinstance(value, dict) else "[]"
    if isinstance(value, str):
        return quote_string(value)
    return str(value) if isinstance(value, int) else _shortest_decimal(value)


def _shortest_decimal(value: float) -> str:
    """The shortest decimal that reads back equal, with an exponent from 1e21 and below 1e-6, as RapidJSON."""
    if not math.isfinite(value):
        return complete_number(str(value))
    if value and not _SMALL <= abs(value) < _LARGE:
        mantissa, exponent = np.format_float_scientific(value, trim="-").split("e")
        return f"{mantissa}e{int(exponent)}"
    return np.format_float_positional(value, trim="0")


def number_texts(numbers: np.ndarray, end: str = "]") -> Iterator[str]:
    """Numbers in the brackets of their shape, on one line, in pieces.

    Args:
        numbers: float32, integers or bool, with a dimension at least.
        end: The last bracket, with what is before it.
    """
    if numbers.size <= _PIECE:
        yield f"{_write_piece(numbers)[:-1]}{end}"
        return
    rows = _PIECE * len(numbers) // numbers.size
    for start in range(0, len(numbers), max(rows, 1)):
        check_deadline()
        yield ", " if start else "["
        piece = numbers[start : start + rows]
        yield from [_write_piece(piece)[1:-1]] if rows else number_texts(numbers[start])
    yield end


def _write_piece(numbers: np.ndarray) -> str:
    plain = _round_floats(numbers) if numbers.dtype.kind == "f" else np.ascontiguousarray(numbers)
    text = orjson.dumps(plain, option=orjson.OPT_SERIALIZE_NUMPY).decode().replace(",", ", ")
    if "null" not in text:
        return text
    others = [*_format_floats(numbers[np.isnan(plain)]), ""]
    return "".join(itertools.chain.from_iterable(zip(text.split("null"), others, strict=True)))


def _round_floats(numbers: np.ndarray) -> np.ndarray:
    """The doubles with the digits that each float32 needs; NaN where it is written with an exponent or a name."""
    with np.errstate(all="ignore"):
        size = np.abs(numbers.astype(np.float64, order="C"))
        six = _SIX[np.searchsorted(_BOUNDS, size, side="right")]
        short, long = (np.rint(size * scale) / scale for scale in (six, six * 1e3))
        result = np.copysign(np.where(short.astype(np.float32) == size, short, long), numbers)
    result[~((size >= _LOW) & (size < _HIGH) | (size == 0))] = np.nan
    return result


def float_texts(flat: np.ndarray) -> list[str]:
    """The texts of floating-point numbers."""
    if flat.size >= _MANY and flat.dtype == np.float32:
        return "".join(number_texts(flat))[1:-1].split(", ")
    return _format_floats(flat)


def _format_floats(flat: np.ndarray) -> list[str]:
    """`%g`; where that does not read back as the same number, `%.9g` (float) or `%.17g` (double)."""
    texts = _format_many(flat) if flat.size >= _MANY else _format_few(flat)
    return [text if "." in text or "e" in text else complete_number(text) for text in texts]


def _format_few(flat: np.ndarray) -> list[str]:
    values, kind, digits = flat.tolist(), "f" if flat.dtype == np.float32 else "d", _DIGITS.get(flat.dtype.char, 17)
    texts = [f"{value:g}" for value in values]
    back = array(kind, map(float, texts))
    return [
        text if again == value else f"{value:.{digits}g}"
        for text, again, value in zip(texts, back, values, strict=True)
    ]


def _format_many(flat: np.ndarray) -> list[str]:
    long = _is_long(flat)
    texts = np.empty(flat.size, dtype=object)
    texts[~long] = _format(flat[~long], "%g")
    short = np.flatnonzero(~long)
    back = np.fromiter(map(float, texts[short]), np.float64, short.size).astype(flat.dtype)
    long[short[back != flat[short]]] = True
    texts[long] = _format(flat[long], f"%.{_DIGITS.get(flat.dtype.char, 17)}g")
    return [*texts]


def _format(flat: np.ndarray, form: str) -> list[str]:
    return (f"{form} " * flat.size % tuple(flat.tolist())).split()


def _is_long(flat: np.ndarray) -> np.ndarray:
    """Numbers that surely need more than the six digits of `%g`; what is close to them is left to be tried."""
    with np.errstate(all="ignore"):
        size = np.abs(flat.astype(np.float64))
        digits = size * 10.0 ** (5 - np.floor(np.log10(size)))  # six before the point
        # Half a unit in the last place of a float32 is less than 0.06 here, of a double far less, unless subnormal.
        return (np.abs(digits - np.rint(digits)) > _MARGIN) & (size >= np.finfo(flat.dtype).tiny)


def complete_number(text: str) -> str:
    """A number without point: a whole one gets `.0`, the others their JSON names."""
    return {"nan": "NaN", "-nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text) or f"{text}.0"
