"""Numbers as TensorFlow Serving writes them: `%g`, and where that reads back as another one, all digits they have.

`orjson` writes the shortest digits of a double. So a float32 that is rounded to 6 or 9 digits in double precision
comes out as `%g` and `%.9g` write it, as long as neither takes an exponent.
"""

from __future__ import annotations

import itertools
from array import array

import numpy as np
import orjson

_MANY = 32  # numbers from which on it pays to look at all of them first
_CLEARLY = 0.1
_LOW, _HIGH = 1e-4, 1e6  # between these, no form takes an exponent
_BOUNDS = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6])
# What makes six digits of a number before the first bound, between the first two, and so on. Times a float32, or a
# thousand times that, it is exact in a double.
_SIX = np.array([1e9, 1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1e0, 1e0])


def nested(numbers: np.ndarray) -> str:
    """Numbers in the brackets of their shape, on one line.

    Args:
        numbers: float32, integers or bool, with a dimension at least.
    """
    plain = _rounded(numbers) if numbers.dtype.kind == "f" else np.ascontiguousarray(numbers)
    text = orjson.dumps(plain, option=orjson.OPT_SERIALIZE_NUMPY).decode().replace(",", ", ")
    if "null" not in text:
        return text
    others = [*_formatted_floats(numbers[np.isnan(plain)]), ""]
    return "".join(itertools.chain.from_iterable(zip(text.split("null"), others, strict=True)))


def _rounded(numbers: np.ndarray) -> np.ndarray:
    """The doubles with the digits that each float32 needs; NaN where it is written with an exponent or a name."""
    with np.errstate(all="ignore"):
        size = np.abs(numbers.astype(np.float64, order="C"))
        six = _SIX[np.searchsorted(_BOUNDS, size, side="right")]
        short, long = (np.rint(size * scale) / scale for scale in (six, six * 1e3))
        found = np.copysign(np.where(short.astype(np.float32) == size, short, long), numbers)
    found[~((size >= _LOW) & (size < _HIGH) | (size == 0))] = np.nan
    return found


def floats(flat: np.ndarray) -> list[str]:
    """The texts of floating-point numbers."""
    if flat.size >= _MANY and flat.dtype == np.float32:
        return nested(flat)[1:-1].split(", ")
    return _formatted_floats(flat)


def _formatted_floats(flat: np.ndarray) -> list[str]:
    """`%g`; where that does not read back as the same number, `%.9g` (float) or `%.17g` (double)."""
    texts = _many(flat) if flat.size >= _MANY else _few(flat)
    return [text if "." in text or "e" in text else whole(text) for text in texts]


def _few(flat: np.ndarray) -> list[str]:
    values, kind, digits = flat.tolist(), "f" if flat.dtype == np.float32 else "d", _digits(flat)
    texts = [f"{value:g}" for value in values]
    back = array(kind, map(float, texts))
    return [
        text if again == value else f"{value:.{digits}g}"
        for text, again, value in zip(texts, back, values, strict=True)
    ]


def _digits(flat: np.ndarray) -> int:
    return 9 if flat.dtype == np.float32 else 17


def _many(flat: np.ndarray) -> list[str]:
    long = _is_long(flat)
    texts = np.empty(flat.size, dtype=object)
    texts[~long] = _formatted(flat[~long], "%g")
    short = np.flatnonzero(~long)
    back = np.fromiter(map(float, texts[short]), np.float64, short.size).astype(flat.dtype)
    long[short[back != flat[short]]] = True
    texts[long] = _formatted(flat[long], f"%.{_digits(flat)}g")
    found: list[str] = texts.tolist()
    return found


def _formatted(flat: np.ndarray, form: str) -> list[str]:
    return (f"{form} " * flat.size % tuple(flat.tolist())).split()


def _is_long(flat: np.ndarray) -> np.ndarray:
    """Numbers that surely need more than the six digits of `%g`; what is close to them is left to be tried."""
    with np.errstate(all="ignore"):
        size = np.abs(flat.astype(np.float64))
        digits = size * 10.0 ** (5 - np.floor(np.log10(size)))  # six before the point
        # Half a unit in the last place of a float32 is less than 0.06 here, of a double far less, unless subnormal.
        return (np.abs(digits - np.rint(digits)) > _CLEARLY) & (size >= np.finfo(flat.dtype).tiny)


def whole(text: str) -> str:
    """A number without point: a whole one gets `.0`, the others their JSON names."""
    return {"nan": "NaN", "-nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text) or f"{text}.0"
