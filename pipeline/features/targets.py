"""Targets: what a row is to be answered with where a label does not say it, such as boxes, a mask or a sentence.

A data set declares them by name and kind (`pipeline.features.types`). The first size of a kind is a bound: a picture
may have fewer boxes than "float[64,4]" has room for. The rest is padded, and what exceeds the bound is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.features import types

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "target/"  # of a preprocessed target among the outputs of Transform's graph, where features are, too
PADDING = {"bytes": b"", "int": -1, "float": 0.0}  # after the last entry of a target with a bound


def target_kinds(data: Any) -> dict[str, str]:
    """Returns the kind of each target of a data set (`pipeline.formats.base`); empty if the answer is a label."""
    return dict(getattr(data, "targets", None) or {})


def answer_names(data: Any) -> set[str]:
    """Returns the names of all that no client sends: the targets, or the label."""
    return set(target_kinds(data)) or {data.label}


def find_fault(features: Mapping[str, Any], kinds: Mapping[str, str]) -> str:
    """Returns why the targets of a row cannot be used; empty if they can."""
    return next((fault for name, kind in kinds.items() if (fault := _fault(name, features.get(name), kind))), "")


def _fault(name: str, value: Any, kind: str) -> str:
    import numpy as np

    base, shape = types.parse_kind(kind)
    if value is None:
        return f"the target {name} is missing"
    if base == "bytes" and not shape:
        return "" if isinstance(value, bytes) else f"the target {name} is not bytes: {type(value).__name__}"
    try:
        array = _as_array(value, base, shape)
    except (TypeError, ValueError, OverflowError):
        return f"the target {name} is not of kind {kind}"
    if array.ndim != len(shape) or (array.size and array.shape[1:] != shape[1:]):
        return f"the target {name} has the shape {array.shape}, not that of {kind}"
    if base == "float" and not np.isfinite(array).all():
        return f"the target {name} has a number that is NaN or infinite"
    return ""


def pad_targets(features: Mapping[str, Any], kinds: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, int]]:
    """Pads the targets of a row to their declared shapes.

    Args:
        features: The row, without a fault.
        kinds: Kinds of the targets.

    Returns:
        The row with flat targets, and by target how many entries did not fit and are left out.
    """
    padded, left_out = dict(features), {}
    for name, kind in kinds.items():
        base, shape = types.parse_kind(kind)
        if shape:
            padded[name], left_out[name] = _pad(_as_array(features[name], base, shape), base, shape)
    return padded, {name: count for name, count in left_out.items() if count}


def _as_array(value: Any, base: str, shape: tuple[int, ...]) -> Any:
    import numpy as np

    if base == "int" and np.size(value) and np.asarray(value).dtype.kind == "f":
        raise TypeError(base)
    array = np.asarray(value, {"bytes": object, "int": np.int64, "float": np.float32}[base])
    return array.reshape(0, *shape[1:]) if shape and not array.size else array


def _pad(array: Any, base: str, shape: tuple[int, ...]) -> tuple[Any, int]:
    import numpy as np

    kept = array[: shape[0]]
    whole = np.full(shape, PADDING[base], array.dtype)
    whole[: len(kept)] = kept
    return whole.reshape(-1), len(array) - len(kept)
