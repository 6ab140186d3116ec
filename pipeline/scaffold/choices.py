"""What a recipe decides from its data: the use of each column, the size of network and training, and the gate's bounds.

The gate is the set of checks that a model must pass to go live; its bounds come from what guessing without a model
reaches on the same data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from statistics import fmean, median
from typing import TYPE_CHECKING

from pipeline.formats.columns import ID_NAME
from pipeline.scaffold.render import safe_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.formats.columns import Column
    from pipeline.scaffold.profile import Profile


MOSTLY_MISSING = 0.95
MIN_REPEATS = 20  # times that a whole number appears on average to be read as a category, too
MAX_DISTINCT_SHARE = 0.5  # of the rows differ
MAX_DISTINCT = 100
SKEW_RATIO = 2.0  # times the median that the mean of an amount is
SMALL_ROWS, MEDIUM_ROWS, LARGE_ROWS = 1_000, 10_000, 100_000
MIN_GAIN = 0.1  # share of the way from guessing to no error that a model must go
STANDARD_ERRORS = 2  # standard errors of the test split that it must be better than guessing
MAX_GAIN = 0.5
FEW_TESTED = 3  # rows of a class: with fewer expected in the test split it has none in one of twenty splits
RARE_SHARE = 0.2  # a class with less than this share of what it would have among equals is rare
ERROR_SHARE = 0.9  # share of the error of one constant answer that a model may have


@dataclass(frozen=True)
class Role:
    """How a recipe uses a column.

    Attributes:
        column: The column.
        use: "number", "amount", "count", "key", "boolean", "category", "date", "text" or "vector"; empty where it is
            left out.
        reason: Why.
    """

    column: Column
    use: str
    reason: str

    @property
    def kind(self) -> str:
        """Kind as the recipe declares it: numbers are "float", which may be missing."""
        uses = {"number": "float", "amount": "float", "count": "float", "key": "int", "vector": self.column.kind}
        return uses.get(self.use, "bytes")


def assign_roles(columns: Sequence[Column], target: Column, profile: Profile, images: Mapping[str, str]) -> list[Role]:
    """Returns the role of every column except the target.

    Args:
        columns: Of the table.
        target: The target.
        profile: Of its rows.
        images: What the columns are that are the target in another unit, with {} for its name.
    """
    roles = []
    first: dict[str, str] = {profile.codes[target.name]: target.name} if target.name in profile.codes else {}
    for column in columns:
        if column.name != target.name:
            code = profile.codes.get(column.name)
            twin = column.name if code is None else first.setdefault(code, column.name)
            role = _choose_role(column, target, "" if twin == column.name else twin, profile.numbers)
            roles.append(_drop_image(role, images.get(column.name, ""), target))
    return roles


def _drop_image(role: Role, image: str, target: Column) -> Role:
    """Leaves out a column that is the target in another unit."""
    if not (image and role.use):
        return role
    return Role(role.column, "", f"left out: {image.format(safe_name(target.name))}")


def _choose_role(column: Column, target: Column, twin: str, numbers: Mapping[str, list[float]]) -> Role:
    reason = _reason_to_drop(column, target, twin)
    if reason:
        return Role(column, "", reason)
    if column.date:
        return Role(column, "date", "days, month, weekday and hour")
    if column.kind.startswith("float["):
        return Role(column, "vector", "numbers side by side, scaled")
    if column.truth:
        return Role(column, "boolean", "true 1, false 0")
    if column.kind == "bytes":
        return Role(column, "text", "words") if column.free_text else _category_role(column)
    return _number_role(column, numbers.get(column.name, []))


def _category_role(column: Column) -> Role:
    """An embedding for each text, also of numbers that are not read as such: that is said."""
    odd = f"{column.no_numbers} cells are no numbers; mend them, or name them in missing=" if column.no_numbers else ""
    unread = "numbers with a unit; written as 1234.5 they would be scaled" if column.with_unit else odd
    return Role(column, "category", f"embedding of each text: {unread}" if unread else "embedding")


def _reason_to_drop(column: Column, target: Column, twin: str) -> str:
    """Returns why a column is left out; empty if it is used."""
    crowded = column.distinct > max(MAX_DISTINCT_SHARE * (column.rows - column.missing), MAX_DISTINCT)
    reasons = {
        "nested values": not column.kind,
        f"the same in every row{' that has one' * (0 < column.missing < column.rows)}": column.constant,
        f"missing in {column.missing / column.rows:.0%} of the rows": column.missing > MOSTLY_MISSING * column.rows,
        "figures that are not read; write 1234.5 without a unit, and 2024-01-31": column.measure
        or ((column.figures or column.with_unit) and not column.time_form and (column.id_like or crowded)),
        f"times such as {safe_name(column.time_form)} are not read; write 2024-01-31": column.time_form,
        f"{column.no_numbers} cells are no numbers; mend them, or name them in missing=": column.no_numbers and crowded,
        "numbers or names the rows": column.id_like,
        f"a copy of {safe_name(twin)} in other words": twin == target.name,
        # Two numbers that go together may still say how near two places are: latitude and longitude of a stop.
        f"says the same as {safe_name(twin)}": twin and column.kind == "bytes",
        "another name in most of the rows": column.kind == "bytes"
        and crowded
        and not (column.date or column.free_text),
    }
    return next((f"left out: {reason}" for reason, holds in reasons.items() if holds), "")


def _number_role(column: Column, values: list[float]) -> Role:
    whole = all(value.is_integer() for value in values)
    if whole and ID_NAME.search(column.name) and not column.missing:
        return Role(column, "key", "embedding: whole numbers that name something")
    if whole and 2 < column.distinct <= column.rows / MIN_REPEATS:  # noqa: PLR2004
        return Role(column, "count", "scaled, and embedding of the exact value" + _logarithm_words(values))
    return Role(column, "amount" if is_amount(values) else "number", "scaled" + _logarithm_words(values))


def is_amount(values: list[float]) -> bool:
    """Whether most of the numbers are small and few are large, none negative."""
    return bool(values) and min(values) >= 0 and fmean(values) > SKEW_RATIO * median(values)


def _logarithm_words(values: list[float]) -> str:
    return ", logarithm" if is_amount(values) else ""


@dataclass(frozen=True)
class Sizes:
    """Settings that depend on the number of rows.

    Attributes:
        epochs: Maximum; early stopping may end sooner.
        batch_size: Rows.
        patience: Epochs without a lower loss.
        units: Of each hidden layer.
        dropout: Share of the units that are left out in training.
        rare: Values of a category that are seen less often share one embedding.
        eval: Share of the rows for early stopping.
        test: Share of the rows for the evaluation.
    """

    epochs: int
    batch_size: int
    patience: int
    units: tuple[int, ...]
    dropout: float
    rare: int
    eval: float
    test: float

    def halve_epochs(self) -> Sizes:
        """Half as many epochs, for networks in which one is long; no less patience.

        Batch normalization and augmentation make val_loss jump, and it falls most at the end of a cosine schedule: on
        3,000 photographs of 32x32 in ten classes the accuracy was 0.45 with a patience of 5 and 0.59 with 10.
        """
        return replace(self, epochs=max(self.epochs // 2, 10), patience=max(self.patience, 3))


def choose_sizes(rows: int) -> Sizes:
    """Few rows: a small network, many epochs, much dropout, a larger share for evaluation. Many rows: the reverse."""
    if rows < SMALL_ROWS:
        return Sizes(100, 16, 20, (64, 32), 0.3, 2, 0.15, 0.2)
    if rows < MEDIUM_ROWS:
        return Sizes(60, 32, 10, (64, 64), 0.3, 3, 0.1, 0.15)
    if rows < LARGE_ROWS:
        return Sizes(30, 128, 5, (128, 64), 0.2, 5, 0.1, 0.1)
    return Sizes(12, 512, 2, (256, 128), 0.1, 10, 0.05, 0.05)


@dataclass(frozen=True)
class Bounds:
    """Metrics and bounds of a recipe's gate.

    Attributes:
        baseline: Sentence about the result of guessing.
        reason: Where the bound comes from, for a comment.
        at_least: Lower bounds by metric.
        at_most: Upper bounds by metric.
        no_worse: By how much a metric may fall behind the live model's.
        quick: Lower bounds of a --quick run.
        positive: The rarer of two classes; empty for more.
        balanced: Whether the recipe's `score` gives the mean recall of the classes.
        class_weight: Power of the inverse frequency that weights a class.
    """

    baseline: str
    reason: str
    at_least: Mapping[str, float] = field(default_factory=dict)
    at_most: Mapping[str, float] = field(default_factory=dict)
    no_worse: Mapping[str, float] = field(default_factory=dict)
    quick: Mapping[str, float] = field(default_factory=dict)
    positive: str = ""
    balanced: bool = False
    class_weight: float = 0.0


def class_bounds(counts: Mapping[str, int], tested: float) -> Bounds:
    """Accuracy where the classes are of a size; the area under the curve or the mean recall where one is rare.

    Args:
        counts: Rows by class.
        tested: Rows of the test split, about.
    """
    rows, (majority, most) = sum(counts.values()), max(counts.items(), key=lambda item: item[1])
    share, rarest = most / rows, min(counts, key=lambda name: counts[name])
    positive = rarest if len(counts) == 2 else ""  # noqa: PLR2004
    guess = f"Guessing {safe_name(majority)} is right in {share:.3f} of the rows."
    if counts[rarest] * len(counts) < 2 * RARE_SHARE * rows:
        return _unbalanced_bounds(counts, tested, guess, positive)
    bound = bound_above_chance(share, tested)
    return Bounds(
        guess,
        f"guessing {safe_name(majority)} reaches {share:.3f}; more must not be chance on about {tested:.0f} test rows",
        at_least={"accuracy": bound},
        no_worse={"accuracy": tolerance(bound, tested)},
        quick={"accuracy": round(1 / len(counts), 3)},
        positive=positive,
    )


def _unbalanced_bounds(counts: Mapping[str, int], tested: float, guess: str, positive: str) -> Bounds:
    rare = tested * min(counts.values()) / sum(counts.values())
    chance, metric = (0.5, "auc") if positive else (1 / len(counts), "balanced_accuracy")
    bound = bound_above_chance(chance, max(rare, 1.0) * len(counts))
    return Bounds(
        f"{guess} So accuracy says little here; the gate asks for "
        + ("the area under the curve." if positive else "the mean recall of the classes.")
        + _describe_rare(counts, rare, metric),
        f"chance is {chance:.3g}; the rarest class has about {rare:.0f} test rows",
        at_least={metric: bound},
        no_worse={metric: tolerance(bound, rare * len(counts))},
        quick={metric: round(chance, 3)},
        positive=positive,
        balanced=not positive,
        class_weight=0.5,
    )


def _describe_rare(counts: Mapping[str, int], tested: float, metric: str) -> str:
    """Returns what is to be expected of a class of which the test split may have no row; empty if it will have some."""
    if tested >= FEW_TESTED:
        return ""
    name, rows = min(counts.items(), key=lambda item: item[1])
    without = "is not defined and nothing is published" if metric == "auc" else "leaves this class out"
    few = f"Rows of {safe_name(name)} are few ({rows}), and the test split may get none"
    return f" {few}: then {metric} {without}. Add such rows."


def bound_above_chance(chance: float, tested: float) -> float:
    """A tenth of the way from chance to 1 and two standard errors above it, but not more than half of the way."""
    error = math.sqrt(chance * (1 - chance) / max(tested, 1.0))
    step = min(max(MIN_GAIN * (1 - chance), STANDARD_ERRORS * error), MAX_GAIN * (1 - chance))
    return round(chance + step, 3)


def tolerance(bound: float, tested: float) -> float:
    """One standard error of a share, by which two equally good models may differ."""
    return round(max(math.sqrt(bound * (1 - bound) / max(tested, 1.0)), 0.002), 3)


def number_bounds(values: Sequence[float]) -> Bounds:
    """The mean absolute error below nine tenths of what the best constant answer has."""
    middle = median(values)
    error = fmean(abs(value - middle) for value in values)
    return Bounds(
        f"Always answering the median, {middle:.10g}, errs by {error:.4g} on average.",
        f"always answering the median errs by {error:.4g}",
        at_most={"mae": round_significant(ERROR_SHARE * error)},
        no_worse={"mae": round_significant(0.05 * error)},
    )


def round_significant(value: float) -> float:
    """Three significant digits."""
    return float(f"{value:.3g}")
