"""Splits: in which of train, eval and test a row is: by content, by group, by time, or as the data set says."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import PipelineError
from pipeline.recipe import Group, GroupTime, Official, Time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pipeline.formats.base import Example
    from pipeline.recipe import Recipe, Split

NEVER = "~"  # after every ISO time


def fraction(features: Mapping[str, Any], without: Collection[str]) -> float:
    """Returns a number in [0, 1) from the hash of a row without its label or its targets.

    Equal inputs are in the same split even when their labels differ.
    """
    names = sorted(features.keys() - set(without))
    content = b"".join([name.encode() + b"\0" + _content(features[name]) + b"\0" for name in names])
    # 53 bits: a float holds them exactly, so that the result is always below 1.
    return (int.from_bytes(hashlib.sha256(content).digest()[:8], "big") >> 11) / 2**53


def _content(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, int | float):
        return repr(value).encode()
    if len(value) and isinstance(value[0], bytes):
        return b"\0".join(value)
    return np.asarray(value, np.float32).tobytes()


def find_borders(examples: Iterable[Example], split: Split) -> dict[Any, Time]:
    """Returns where eval and test begin in each group of a `GroupTime` split; nothing for other splits.

    Args:
        examples: The usable rows.
        split: The recipe's split.

    Raises:
        PipelineError: A row lacks the column or the time that decides.
    """
    if not isinstance(split, GroupTime):
        return {}
    times: dict[Any, list[str]] = defaultdict(list)
    for example in examples:
        times[_require_column(example, split, split.column)].append(_require_time(example))
    return {group: _group_borders(sorted(begins), split) for group, begins in times.items()}


def _group_borders(times: list[str], split: GroupTime) -> Time:
    test = int(len(times) * split.test)
    both = test + int(len(times) * split.eval)
    test_from = times[-test] if test else NEVER
    return Time(eval_from=times[-both] if both else NEVER, test_from=test_from)


def choose_split(example: Example, part: float, recipe: Recipe, borders: Mapping[Any, Time] | None = None) -> str:
    """Returns the split of a row: "train", "eval" or "test"; empty if it crosses a border.

    Args:
        example: The row.
        part: Its `fraction`.
        recipe: The recipe, for its split.
        borders: The result of `find_borders`.

    Raises:
        PipelineError: The row lacks the column or the time that decides.
    """
    split = recipe.split
    if isinstance(split, GroupTime):
        return _split_by_time(example, (borders or {})[_require_column(example, split, split.column)])
    if isinstance(split, Time):
        return _split_by_time(example, split)
    if isinstance(split, Official):
        if example.split in ("eval", "test"):
            return example.split
        part = _group_fraction(example, split, split.group) if split.group else part
        return "eval" if part < split.eval else "train"
    if isinstance(split, Group):
        part = _group_fraction(example, split, split.column)
    if part < split.test:
        return "test"
    return "eval" if part < split.test + split.eval else "train"


def _group_fraction(example: Example, split: Split, column: str) -> float:
    return fraction({column: _require_column(example, split, column)}, ())


def _require_column(example: Example, split: Split, column: str) -> Any:
    if column not in example.features:
        raise PipelineError(
            f"{example.source} cannot be split by {column}.",
            expected=f"a value of {column} in every row",
            received=f"the features {', '.join(example.features)}",
            action=f"correct split={type(split).__name__}(…) in the recipe, or fill the column",
        )
    return example.features[column]


def _require_time(example: Example) -> str:
    if not example.begins:
        raise PipelineError(
            f"{example.source} cannot be split by time.",
            expected="rows with a time",
            received="none",
            action="name the column of the date in the recipe's data, or split by Hash()",
        )
    return example.begins


def _split_by_time(example: Example, split: Time) -> str:
    begins = _require_time(example)
    if begins >= split.test_from:
        return "test"
    if begins >= split.eval_from:
        return "eval" if example.ends < split.test_from else ""
    return "train" if example.ends < split.eval_from else ""
