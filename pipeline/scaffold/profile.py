"""The rows of a table as a run will read them.

One pass finds labels, faults, numbers, and columns that are copies of each other; it also says whether there are rows
enough.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.formats.base import fault_kind, list_kinds
from pipeline.formats.table import NO_NUMBERS
from pipeline.scaffold.render import list_names, safe_name
from pipeline.tables.spelling import merge_spellings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.formats.base import Dataset
    from pipeline.formats.columns import Column


ROOT = Path("/")  # the paths are absolute here
SAMPLED_ROWS, SAMPLED_CELLS = 20_000, 4_000_000  # whichever are fewer
MAX_DISTINCT_SHARE = 0.5  # a column with more values than this share of the rows is no copy of another
MIN_ROWS = 50
MIN_DIFFERENT, USUAL_DIFFERENT = 6, 20  # rows that must, and that should differ
MAX_FAULTS = 0.5
USUAL_FAULTS = 0.005  # half of what a recipe allows by itself
# Of what stands for a number that is not there, these may be classes; the signs and NA where many rows have them.
WORDS = {"nd", "none", "nil", "missing", "unknown", "not available"}
SIGNS = {"na", "n/d", "-", "--", "---", "\u2013", "\u2014", ".", "..", "..."}
NO_LABELS = NO_NUMBERS - WORDS - SIGNS
RARE = 0.05  # share of the rows


@dataclass
class Profile:
    """Statistics of the rows of a table.

    Attributes:
        rows: Usable rows.
        faults: Rows that are not.
        first_fault: The first of them, in words.
        reasons: How many there are of each kind.
        classes: Rows by label, where the label is text.
        spellings: Class by label that is spelled otherwise.
        target: The labels, where they are numbers.
        numbers: The first values of each numeric input.
        words: Words of each text, of the first rows, by input.
        codes: Digest of each column's order of equal values: columns that are copies in other words have the same one.
    """

    rows: int = 0
    faults: int = 0
    first_fault: str = ""
    reasons: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    spellings: dict[str, str] = field(default_factory=dict)
    target: list[float] = field(default_factory=list)
    numbers: dict[str, list[float]] = field(default_factory=dict)
    words: dict[str, list[int]] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)


def profile_data(data: Dataset) -> Profile:
    """Reads all rows; inputs are read from the first rows only."""
    profile, order = Profile(), {name: ValueOrder() for name in (*data.inputs, data.label)}
    sampled = min(SAMPLED_ROWS, SAMPLED_CELLS // len(order))
    for example in data.examples(ROOT):
        if example.fault:
            profile.faults += 1
            profile.first_fault = profile.first_fault or f"{example.source}: {example.fault}"
            profile.reasons[fault_kind(example.fault)] += 1
            continue
        profile.rows += 1
        _count_label(example.features[data.label], profile)
        if profile.rows <= sampled:
            _sample_inputs(example.features, data, profile, order)
    profile.codes = {
        name: values.digest() for name, values in order.items() if len(values.seen) < MAX_DISTINCT_SHARE * values.count
    }
    labels = profile.classes
    profile.classes, profile.spellings = merge_spellings(labels)
    if len(profile.classes) == 1 < len(labels):
        raise PipelineError(
            f"There is nothing to tell apart in {safe_name(data.label)}: all its values are one class.",
            expected="at least two classes",
            received=", ".join(map(ascii, labels)),
            action="name another column with --target",
        )
    return profile


def find_no_labels(classes: Counter[str]) -> tuple[str, ...]:
    """Returns the labels that stand for one that is not there, as far as two classes are left without them."""
    few = RARE * classes.total()
    marks = [name for name in classes if name.strip().casefold() in NO_LABELS]
    rare = [name for name in classes if name.strip().casefold() in SIGNS]
    marks += rare if sum(classes[name] for name in rare) <= few else []
    return tuple(marks) if len(classes) - len(marks) > 1 else ()


def _count_label(label: Any, profile: Profile) -> None:
    if isinstance(label, bytes):
        profile.classes[label.decode(errors="replace")] += 1
    else:
        profile.target.append(float(label))


def _sample_inputs(features: Any, data: Dataset, profile: Profile, order: dict[str, ValueOrder]) -> None:
    for name, values in order.items():
        values.add(_hashable(features.get(name)))
    for name in data.inputs:
        value = features.get(name)
        if isinstance(value, int | float):
            profile.numbers.setdefault(name, []).append(float(value))
        elif isinstance(value, bytes):
            profile.words.setdefault(name, []).append(len(value.split()))


def _hashable(value: Any) -> Any:
    return value if isinstance(value, bytes | int | float | None) else bytes(value)


@dataclass
class ValueOrder:
    """In which order values appear and come back, whatever they are."""

    seen: dict[Any, int] = field(default_factory=dict)
    count: int = 0
    hasher: Any = field(default_factory=hashlib.sha256)

    def add(self, value: Any) -> None:
        """Adds the next row's value."""
        self.count += 1
        code = self.seen.setdefault(value, len(self.seen))
        self.hasher.update(code.to_bytes(4, "big"))

    def digest(self) -> str:
        """The same for columns that tell the same rows apart."""
        return str(self.hasher.hexdigest())


def require_rows(path: Path, rows: int, what: str = "rows", faults: str = "") -> None:
    """Raises a PipelineError when there is too little to learn from; `faults` says what else there is."""
    if rows < MIN_ROWS:
        raise PipelineError(
            f"There are too few {what} in {path} to learn from.",
            expected=f"at least {MIN_ROWS}, better hundreds",
            received=f"{rows}{faults}",
            action="mend those that cannot be used, or collect more data" if faults else "collect more data",
        )


def describe_faults(rows: int, faults: int, first: str, reasons: Counter[str]) -> list[str]:
    """Says how many rows cannot be used, of each kind, and which is the first; nothing where all can."""
    if not faults:
        return []
    words = f"{faults} of {rows + faults} rows cannot be used: {list_kinds(reasons)}."
    return [words, f"The first: {first}. A run lists all."]


def describe_odd(column: Column) -> str:
    """Says which cells of a column are not of its kind, to be put after its use; empty where all are."""
    odd = [f"{text!r}" + (f" {count} times" if count > 1 else "") for text, count in column.odd]
    return f"; not read, so missing: {list_names(odd)}" if odd else ""


def different_rows(data: Dataset, names: Sequence[str], left_out: str = "", action: str = "") -> list[str]:
    """Says that few rows differ: equal ones are on one side of the split.

    Args:
        data: The table.
        names: The columns that are used.
        left_out: What is said of columns that would tell the rows apart.
        action: What is to be done about these; empty where there are none.

    Raises:
        PipelineError: They are so few that a side would have none.
    """
    seen: set[tuple[Any, ...]] = set()
    for example in data.examples(ROOT):
        if not example.fault:
            seen.add(tuple(_hashable(example.features.get(name)) for name in names))
        if len(seen) >= USUAL_DIFFERENT:
            return []
    if len(seen) < MIN_DIFFERENT:
        raise PipelineError(
            "Too few rows differ to learn from some and to test on others.",
            expected=f"at least {MIN_DIFFERENT} different rows: equal ones are on one side of the split",
            received=f"{len(seen)} different rows of {', '.join(map(safe_name, names))}; "
            + (left_out or "what each of them leads to can be counted without a network"),
            action=action or "add columns that tell the rows apart",
        )
    words = f"Only {len(seen)} different rows: equal ones are on one side of the split, so the test is on few of them."
    return [words]


def fault_facts(path: Path, rows: int, faults: int, first: str, reasons: Counter[str] | None = None) -> dict[str, Any]:
    """What a recipe says about rows that cannot be used: they are passed over, up to a share.

    Args:
        path: The data.
        rows: That can be used.
        faults: Rows that cannot.
        first: The first of these.
        reasons: How many there are of each kind.

    Raises:
        PipelineError: Most rows cannot be used, or too few are left.
    """
    share = faults / max(rows + faults, 1)
    if share > MAX_FAULTS:
        raise PipelineError(
            f"Most rows of {path} cannot be used.",
            expected="rows with a target and values of the columns' kinds",
            received=f"{faults} of {rows + faults}{': ' + list_kinds(reasons) if reasons else ''}; the first: {first}",
            action="mend them, or name other data; of a table also another --target",
        )
    words = f", and {faults} that cannot be used; the first: {first}" if faults else ""
    require_rows(path, rows, "usable rows", words)
    return {**share_facts(share), "faults": faults}


def share_facts(share: float) -> dict[str, Any]:
    """What a recipe says about a share of rows that cannot be used; nothing about the usual ones."""
    if share < USUAL_FAULTS:
        return {"bad_share": 0}
    allowed = round(min(1.2 * share + 0.01, 0.9), 3)
    return {"bad_share": allowed, "bad_reason": f"{share:.1%} cannot be used, as this is written"}


def sort_classes(values: Sequence[str]) -> tuple[str, ...]:
    """Classes in their order: numbers by size, texts by letter."""
    try:
        return tuple(sorted(values, key=float))
    except ValueError:
        return tuple(sorted(values))
