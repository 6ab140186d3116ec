"""Convert a caller's inputs to arrays of the types that a signature declares.

A conversion that would lose information raises an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.errors import FailedPrecondition, InvalidArgument, NotFound
from serving.wire import dtypes

if TYPE_CHECKING:
    from serving.core.signature import Signature
    from serving.wire.dtypes import Dtype


# Kinds of numbers (numpy's letters) and those that they may become. Fractions are never cut off, and truth
# values are not made up.
_WIDER = {"b": "biufc", "i": "iufc", "u": "iufc", "f": "fc", "c": "c"}


def to_array(value: Any, dtype: Dtype, what: str) -> np.ndarray:
    """A value as an array of a type.

    Args:
        value: An array, a number, str, bytes, a `Path` or nested lists of them. A path means its file's
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
        return _string_array(value, what)
    if dtype.numpy is None:
        raise send_error(what, "a type that clients can send", dtype.name, "ask for another signature")
    return convert(_number_array(value, dtype, what), dtype, what)


def convert(source: np.ndarray, dtype: Dtype, what: str) -> np.ndarray:
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
        raise _type_error(what, dtype, f"{source.reshape(-1)[0]} ({source.dtype})")
    with np.errstate(all="ignore"):
        result = source.astype(dtype.numpy)
        lost = ~_keeps_value(source, result, kind, wanted)
    if lost.any():
        first = source.reshape(-1)[int(np.flatnonzero(lost.reshape(-1))[0])]
        raise _type_error(what, dtype, f"{first} ({source.dtype})")
    return result


def _kind(dtype: np.dtype) -> str:
    bfloat16 = dtypes.from_number(14).numpy  # numpy has no type letter for it
    return "f" if dtype == bfloat16 else dtype.kind


def _keeps_value(source: np.ndarray, result: np.ndarray, kind: str, wanted: str) -> np.ndarray:
    """Where a conversion kept the value."""
    if kind in "fc":  # rounding is what floats do; becoming infinite is not
        return np.asarray(np.isfinite(result) | ~np.isfinite(source))
    if wanted in "iu":
        limits = np.iinfo(result.dtype)
        return np.asarray((source >= limits.min) & (source <= limits.max))
    # Compared as the widest float: back in the integer's type, 2**63 would wrap around.
    real = result.real if wanted == "c" else result
    return np.asarray(real.astype(np.longdouble) == source.astype(np.longdouble))


def _number_array(value: Any, dtype: Dtype, what: str) -> np.ndarray:
    source = raw_array(value, what)
    if source.dtype.kind == "f" and not isinstance(value, np.ndarray) and "int" in dtype.name:
        return _whole_numbers(value, dtype, source)
    if source.dtype.kind not in "OSUT":
        return source
    leaves = source.reshape(-1).tolist()
    paths = [leaf for leaf in leaves if isinstance(leaf, PurePath)]
    if paths:
        raise send_error(
            what, f"{dtype.name} values", f"the path {paths[0]}", "read the file into an array; only strings take paths"
        )
    raise _type_error(what, dtype, _shorten(leaves[0] if leaves else source.dtype))


def _whole_numbers(value: Any, dtype: Dtype, floats: np.ndarray) -> np.ndarray:
    """The integers that numpy made floats of, as it does of [0, 2**63]; what it found where there are others."""
    leaves = np.asarray(value, dtype=object).reshape(-1).tolist()
    if not all(type(leaf) is int for leaf in leaves):
        return floats
    try:
        return np.asarray(value, dtype=dtype.numpy)
    except OverflowError:
        return floats


def raw_array(value: Any, what: str) -> np.ndarray:
    """The array that numpy makes of a value.

    Raises:
        InvalidArgument: Uneven lists.
    """
    try:
        return np.asarray(value)
    except ValueError as error:
        raise _uneven_error(what, error) from error


def _type_error(what: str, dtype: Dtype, received: str) -> InvalidArgument:
    action = f"convert it, such as with numpy.asarray(values).astype({_numpy_name(dtype)!r}), or check the values"
    return send_error(what, f"values that {dtype.name} holds without loss", received, action)


def _numpy_name(dtype: Dtype) -> str:
    return str(dtype.numpy)


def _string_array(value: Any, what: str) -> np.ndarray:
    plain = _to_bytes(value, what)
    try:
        result = np.array(plain, dtype=object)
    except ValueError as error:
        raise _uneven_error(what, error) from error
    if not all(isinstance(leaf, bytes) for leaf in result.reshape(-1)):
        raise _uneven_error(what, "uneven lists")
    return result


def _uneven_error(what: str, received: object) -> InvalidArgument:
    return send_error(what, "lists of one length at each level", received, "pad them to one length")


def _to_bytes(value: Any, what: str) -> Any:
    """The same nesting with bytes for leaves."""
    if isinstance(value, str):
        return _encode_text(value, what)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, PurePath):
        return _read_file(value, what)
    if isinstance(value, (list, tuple)):
        return [_to_bytes(item, what) for item in value]
    array = raw_array(value, what)
    if array.dtype.kind in "OSUT" and not isinstance(array.tolist(), type(value)):
        return _to_bytes(array.tolist(), what)
    if not array.size:
        return array.tolist()
    raise send_error(what, "str, bytes or a pathlib.Path", _shorten(value), "pass text, or the bytes of the value")


def _encode_text(text: str, what: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise send_error(what, "text that UTF-8 can write", error, "pass bytes") from error


def _read_file(path: PurePath, what: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a PurePath has no open
            return file.read()
    except FileNotFoundError as error:
        raise NotFound(
            f"{what} cannot be read.\nExpected: a file\nReceived: {path}\nNext: check the path; text is passed as str"
        ) from error
    except OSError as error:
        raise send_error(what, "a file that can be read", error, "check the path and its rights") from error


def _shorten(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"  # noqa: PLR2004 - one line


def send_error(what: str, expected: str, received: object, action: str) -> InvalidArgument:
    """The error of a value that cannot be sent."""
    return InvalidArgument(f"{what} cannot be sent.\nExpected: {expected}\nReceived: {received}\nNext: {action}")


def find_signature(known: Mapping[str, Signature], name: str, model: str) -> Signature:
    """One of a model's signatures.

    Raises:
        FailedPrecondition: It has none of this name.
    """
    if name in known:
        return known[name]
    raise FailedPrecondition(
        f"{model} has no signature {name!r}.\n"
        f"Expected: {_join_names(key for key in known if not key.startswith('__'))}\n"
        f"Received: {name!r}\n"
        f"Next: pass signature= with one of these"
    )


def input_arrays(inputs: Any, declared: Signature, *, fills_defaults: bool) -> dict[str, np.ndarray]:
    """Arrays of the declared types by input name.

    Args:
        inputs: Values by input name, or the one value of a signature with one input.
        declared: What the signature takes.
        fills_defaults: Whether the server has values for inputs with a default.

    Raises:
        InvalidArgument: A name or a value does not fit.
        NotFound: A path without file.
    """
    if not isinstance(inputs, Mapping):
        inputs = {_only_input(declared): inputs}
    required = [name for name in declared.inputs if not (fills_defaults and name in declared.defaults)]
    if not (inputs.keys() <= declared.inputs.keys() and inputs.keys() >= set(required)):
        raise InvalidArgument(
            f"The inputs do not fit signature {declared.name!r}.\n"
            f"Expected: {_join_names(declared.inputs)}\n"
            f"Received: {_join_names(inputs)}\n"
            f"Next: pass every input under its name{_default_hint(declared, fills_defaults=fills_defaults)}"
        )
    return {name: to_array(value, declared.inputs[name].dtype, f"Input {name!r}") for name, value in inputs.items()}


def _only_input(declared: Signature) -> str:
    if len(declared.inputs) == 1:
        return next(iter(declared.inputs))
    raise InvalidArgument(
        f"Signature {declared.name!r} has not one input but {len(declared.inputs)}.\n"
        f"Expected: a dict with {_join_names(declared.inputs)}\n"
        f"Received: a value without name\n"
        f"Next: pass every input under its name"
    )


def _default_hint(declared: Signature, *, fills_defaults: bool) -> str:
    return "; only gRPC fills in defaults" if declared.defaults and not fills_defaults else ""


def output_names(wanted: Iterable[str] | None, declared: Signature) -> list[str] | None:
    """The outputs to answer with; None for all.

    Raises:
        InvalidArgument: The signature has no such output.
    """
    if wanted is None:
        return None
    names = [wanted] if isinstance(wanted, str) else list(dict.fromkeys(wanted))
    unknown = [name for name in names if name not in declared.outputs]
    if names and not unknown:
        return names
    raise InvalidArgument(
        f"Signature {declared.name!r} has no such output.\n"
        f"Expected: one or more of {_join_names(declared.outputs)}\n"
        f"Received: {', '.join(map(repr, unknown)) or 'none'}\n"
        f"Next: leave outputs out for all"
    )


def _join_names(names: Iterable[str]) -> str:
    return ", ".join(map(str, names)) or "nothing"
