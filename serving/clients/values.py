"""Values as people have them to arrays of a declared type: nothing is lost on the way, or there is an error."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.errors import InvalidArgument, NotFound
from serving.wire import dtype as dtypes

if TYPE_CHECKING:
    from serving.wire.dtype import Dtype

# Kinds of numbers (numpy's letters) and those that they may become. Fractions are never cut off, and truth
# values are not made up.
_WIDER = {"b": "biufc", "i": "iufc", "u": "iufc", "f": "fc", "c": "c"}


def array(value: Any, dtype: Dtype, what: str) -> np.ndarray:
    """A value as an array of a type.

    Args:
        value: An array, a number, str, bytes, a `Path` or nested lists of them. A path stands for its file's
            bytes; text is never taken for a path.
        dtype: The type to have. Floats may be rounded to it; all else must keep its value.
        what: What the error calls it.

    Returns:
        Any shape; strings as objects of bytes.

    Raises:
        InvalidArgument: The type cannot hold the value, or lists are uneven.
        NotFound: There is no such file.
    """
    if dtype is dtypes.STRING:
        return _strings(value, what)
    if dtype.numpy is None:
        raise refused(what, "a type that clients can send", dtype.name, "ask for another signature")
    return converted(_numbers(value, dtype, what), dtype, what)


def converted(source: np.ndarray, dtype: Dtype, what: str) -> np.ndarray:
    """An array of numbers in another type, with the same values.

    Raises:
        InvalidArgument: The type cannot hold them.
    """
    assert dtype.numpy is not None
    if source.dtype == dtype.numpy:
        return source
    kind, wanted = _kind(source.dtype), _kind(dtype.numpy)
    rounds = kind in "iu" and wanted in "fc"  # numpy calls int64 to float64 safe
    if not source.size or (not rounds and np.can_cast(source.dtype, dtype.numpy, "safe")):
        return source.astype(dtype.numpy)
    if wanted not in _WIDER.get(kind, ""):
        raise _unlike(what, dtype, f"{source.reshape(-1)[0]} ({source.dtype})")
    with np.errstate(all="ignore"):
        found = source.astype(dtype.numpy)
        lost = ~_kept(source, found, kind, wanted)
    if lost.any():
        first = source.reshape(-1)[int(np.flatnonzero(lost.reshape(-1))[0])]
        raise _unlike(what, dtype, f"{first} ({source.dtype})")
    return found


def _kind(dtype: np.dtype) -> str:
    bfloat16 = dtypes.of_number(14).numpy  # numpy has no letter of its own for it
    return "f" if dtype == bfloat16 else dtype.kind


def _kept(source: np.ndarray, found: np.ndarray, kind: str, wanted: str) -> np.ndarray:
    """Where a conversion kept the value."""
    if kind in "fc":  # rounding is what floats do; becoming infinite is not
        return np.asarray(np.isfinite(found) | ~np.isfinite(source))
    if wanted in "iu":
        limits = np.iinfo(found.dtype)
        return np.asarray((source >= limits.min) & (source <= limits.max))
    # Compared as the widest float: back in the integer's type, 2**63 would wrap around.
    real = found.real if wanted == "c" else found
    return np.asarray(real.astype(np.longdouble) == source.astype(np.longdouble))


def _numbers(value: Any, dtype: Dtype, what: str) -> np.ndarray:
    found = raw(value, what)
    if found.dtype.kind == "f" and not isinstance(value, np.ndarray) and "int" in dtype.name:
        return _whole(value, dtype, found)
    if found.dtype.kind not in "OSUT":
        return found
    leaves = found.reshape(-1).tolist()
    paths = [leaf for leaf in leaves if isinstance(leaf, PurePath)]
    if paths:
        raise refused(
            what, f"{dtype.name} values", f"the path {paths[0]}", "read the file into an array; only strings take paths"
        )
    raise _unlike(what, dtype, _shown(leaves[0] if leaves else found.dtype))


def _whole(value: Any, dtype: Dtype, found: np.ndarray) -> np.ndarray:
    """The integers that numpy made floats of, as it does of [0, 2**63]; what it found where there are others."""
    leaves = np.asarray(value, dtype=object).reshape(-1).tolist()
    if not all(type(leaf) is int for leaf in leaves):
        return found
    try:
        return np.asarray(value, dtype=dtype.numpy)
    except OverflowError:
        return found


def raw(value: Any, what: str) -> np.ndarray:
    """The array that numpy makes of a value.

    Raises:
        InvalidArgument: Uneven lists.
    """
    try:
        return np.asarray(value)
    except ValueError as error:
        raise _uneven(what, error) from error


def _unlike(what: str, dtype: Dtype, received: str) -> InvalidArgument:
    action = f"convert it, such as with numpy.asarray(values).astype({_numpy_name(dtype)!r}), or check the values"
    return refused(what, f"values that {dtype.name} holds without loss", received, action)


def _numpy_name(dtype: Dtype) -> str:
    return str(dtype.numpy)


def _strings(value: Any, what: str) -> np.ndarray:
    plain = _bytes(value, what)
    try:
        found = np.array(plain, dtype=object)
    except ValueError as error:
        raise _uneven(what, error) from error
    if not all(isinstance(leaf, bytes) for leaf in found.reshape(-1)):
        raise _uneven(what, "uneven lists")
    return found


def _uneven(what: str, received: object) -> InvalidArgument:
    return refused(what, "lists of one length at each level", received, "pad them to one length")


def _bytes(value: Any, what: str) -> Any:
    """The same nesting with bytes for leaves."""
    if isinstance(value, str):
        return _encoded(value, what)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, PurePath):
        return _read(value, what)
    if isinstance(value, (list, tuple)):
        return [_bytes(item, what) for item in value]
    found = raw(value, what)
    if found.dtype.kind in "OSUT" and not isinstance(found.tolist(), type(value)):
        return _bytes(found.tolist(), what)
    if not found.size:
        return found.tolist()
    raise refused(what, "str, bytes or a pathlib.Path", _shown(value), "pass text, or the bytes of the value")


def _encoded(text: str, what: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise refused(what, "text that UTF-8 can write", error, "pass bytes") from error


def _read(path: PurePath, what: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a PurePath has no open
            return file.read()
    except FileNotFoundError as error:
        raise NotFound(
            f"{what} cannot be read.\nExpected: a file\nReceived: {path}\nNext: check the path; text is passed as str"
        ) from error
    except OSError as error:
        raise refused(what, "a file that can be read", error, "check the path and its rights") from error


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"  # noqa: PLR2004 - one line


def refused(what: str, expected: str, received: object, action: str) -> InvalidArgument:
    """The error of a value that cannot be sent."""
    return InvalidArgument(f"{what} cannot be sent.\nExpected: {expected}\nReceived: {received}\nNext: {action}")
