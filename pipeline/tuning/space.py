"""The search space: which hyperparameters vary, in which ranges, and which are fixed.

A dimension is a number between bounds, one of several values, or an architecture: layers and their widths.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, UsageError, did_you_mean
from pipeline.recipe import Choice, Range, Widths
from pipeline.recipes import hyperparameters

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from optuna import Trial

    from pipeline.recipes.catalog import RecipeSource
    from pipeline.recipes.hyperparameters import Field


# How long a trial may take is no property of the model, and a loss is not comparable with another one.
NOT_BY_DEFAULT = {"epochs", "fine_tune_epochs", "patience", "loss"}
FLOAT_DIGITS = 3  # of a sampled float: enough for any hyperparameter, and short on a command line


@dataclass(frozen=True)
class Space:
    """A search space.

    Attributes:
        base: All hyperparameters with their fixed values; the first trial has all of these.
        dimensions: The hyperparameters that vary, by name.
    """

    base: dict[str, Any]
    dimensions: Mapping[str, Dimension]

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Returns all hyperparameters of a trial."""
        return {**self.base, **{name: dimension.suggest(trial) for name, dimension in self.dimensions.items()}}

    def optuna_params(self) -> dict[str, Any]:
        """Returns Optuna's parameters for the recipe's own values, as far as they are in the ranges."""
        values: dict[str, Any] = {}
        for name, dimension in self.dimensions.items():
            if dimension.contains(self.base[name]):
                values |= dimension.optuna_params(self.base[name])
        return values

    def changes(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the searched values that differ from the recipe's."""
        return {name: values[name] for name in self.dimensions if values[name] != self.base[name]}

    def with_equal_genes(self) -> Space:
        """Returns the same space, in which each trial proposes the same number of values.

        A genetic algorithm crosses over the values that all trials have; others it would only draw at random.
        """
        genes = {
            name: dataclasses.replace(dimension, whole=True) if isinstance(dimension, Architecture) else dimension
            for name, dimension in self.dimensions.items()
        }
        return Space(self.base, genes)

    def describe(self) -> dict[str, str]:
        """Returns a description of each range, by name."""
        return {name: dimension.field.range or dimension.words for name, dimension in self.dimensions.items()}


def build_space(source: RecipeSource, base: dict[str, Any], only: Collection[str], fixed: Collection[str]) -> Space:
    """Builds the search space of a recipe.

    Args:
        source: The recipe.
        base: Its hyperparameters, with the values of --set.
        only: The ones to search; empty for all with a range, except those that limit the length of the training or
            are part of the loss.
        fixed: The ones with --set, which do not vary.

    Raises:
        UsageError: Nothing to search, or a name that cannot be searched.
    """
    declared = hyperparameters.fields(source)
    for name in only:
        if name not in declared or name in fixed:
            raise _unknown_name_error(source, name, declared, fixed)
    names = [name for name in declared if name in only or not (only or name in fixed or name in NOT_BY_DEFAULT)]
    dimensions = {name: make_dimension(declared[name]) for name in names}
    searched = {name: dimension for name, dimension in dimensions.items() if dimension is not None}
    missing = [name for name in only if name not in searched]
    if missing or not searched:
        raise UsageError(
            f"{source.name} declares no range for {', '.join(missing) or 'any hyperparameter that is not set'}.",
            expected="Annotated[float, Range(low, high)], Annotated[str, Choice(…)] or a tuple of widths in its Params",
            received=", ".join(f"{name}: {declared[name].type}" for name in missing or declared),
            action=f"declare a range in {source.path}",
        )
    return Space(base, searched)


def _unknown_name_error(
    source: RecipeSource, name: str, declared: Collection[str], fixed: Collection[str]
) -> UsageError:
    set_too = name in fixed
    return UsageError(
        f"{name} is both set and searched." if set_too else f"{source.name} has no hyperparameter {name!r}.",
        expected="--only with hyperparameters that --set does not fix"
        if set_too
        else f"--only with some of {', '.join(declared)}",
        received=name,
        action=did_you_mean(name, [] if set_too else declared) or f"see them with: keraspipe show {source.name}",
    )


@dataclass(frozen=True)
class Number:
    """An int or float between two bounds."""

    field: Field
    low: float
    high: float
    log: bool

    @property
    def words(self) -> str:
        """Describes the bounds."""
        return f"{self.low} to {self.high}"

    def suggest(self, trial: Trial) -> float:
        """Returns a value; a float is rounded to three digits, within the bounds."""
        if self.field.type == "int":
            return trial.suggest_int(self.field.name, int(self.low), int(self.high), log=self.log)
        value = trial.suggest_float(self.field.name, self.low, self.high, log=self.log)
        return min(max(float(f"{value:.{FLOAT_DIGITS}g}"), float(self.low)), float(self.high))

    def contains(self, value: float) -> bool:
        """Whether a value is between the bounds."""
        return self.low <= value <= self.high

    def optuna_params(self, value: float) -> dict[str, Any]:
        """Returns the value itself."""
        return {self.field.name: value}


@dataclass(frozen=True)
class Name:
    """One of several values; Optuna gets their texts, as `--set` takes them."""

    field: Field
    texts: tuple[str, ...]

    @property
    def words(self) -> str:
        """Describes all values."""
        return " or ".join(self.texts)

    def suggest(self, trial: Trial) -> Any:
        """Returns one of the values."""
        return hyperparameters.parse_value(self.field, trial.suggest_categorical(self.field.name, self.texts))

    def contains(self, value: Any) -> bool:
        """Whether a value is one of them."""
        return value in [hyperparameters.parse_value(self.field, text) for text in self.texts]

    def optuna_params(self, value: Any) -> dict[str, Any]:
        """Returns the text of a value."""
        return {
            self.field.name: next(text for text in self.texts if hyperparameters.parse_value(self.field, text) == value)
        }


@dataclass(frozen=True)
class Architecture:
    """A tuple of widths: how many layers or blocks, and how wide each; `ladders` holds the widths of each, rising.

    `whole` also proposes the widths of the layers that a trial lacks, so that all trials have the same genes.
    """

    field: Field
    fewest: int
    ladders: tuple[tuple[int, ...], ...]
    whole: bool = dataclasses.field(default=False, repr=False)

    @property
    def words(self) -> str:
        """Describes the numbers of layers and their widths."""
        widths = ", ".join(f"{ladder[0]} to {ladder[-1]}" for ladder in self.ladders)
        return f"{self.fewest} to {len(self.ladders)} layers of {widths}"

    def suggest(self, trial: Trial) -> tuple[int, ...]:
        """Returns widths: suggests the number of layers, then a step on the ladder of each."""
        count = trial.suggest_int(f"{self.field.name}.layers", self.fewest, len(self.ladders))
        return tuple(
            ladder[trial.suggest_int(f"{self.field.name}.{number}", 0, len(ladder) - 1)]
            for number, ladder in enumerate(self.ladders if self.whole else self.ladders[:count])
        )[:count]

    def contains(self, value: tuple[int, ...]) -> bool:
        """Whether number of layers and widths are in the ranges."""
        fits = self.fewest <= len(value) <= len(self.ladders)
        return fits and all(width in ladder for width, ladder in zip(value, self.ladders, strict=False))

    def optuna_params(self, value: tuple[int, ...]) -> dict[str, Any]:
        """Returns the number of layers, and for each the step on its ladder."""
        steps = {f"{self.field.name}.{i}": self.ladders[i].index(width) for i, width in enumerate(value)}
        return {f"{self.field.name}.layers": len(value), **steps}


Dimension = Number | Name | Architecture


def make_dimension(field: Field) -> Dimension | None:
    """Returns the dimension of a hyperparameter; None if it cannot be searched.

    Without a declared range, a bool takes both values, and a tuple of integers has one layer less to one layer more,
    each layer half to twice as wide.

    Raises:
        PipelineError: The declared range does not fit the type, or is empty.
    """
    declared = hyperparameters.search_range(field)
    if isinstance(declared, Choice):
        return _choice_dimension(field, declared)
    if isinstance(declared, Widths):
        return _declared_architecture(field, declared)
    if isinstance(declared, Range):
        return _number_dimension(field, declared)
    if field.type == "bool":
        return Name(field, ("False", "True"))
    if field.type == "tuple[int, ...]" and field.default:
        return _derived_architecture(field)
    return None


def _number_dimension(field: Field, declared: Range) -> Number:
    sound = field.type in {"int", "float"} and declared.low <= declared.high
    _require(
        sound and (declared.low > 0 or not declared.log), field, "an int or float, and bounds above 0 for log=True"
    )
    return Number(field, declared.low, declared.high, declared.log)


def _choice_dimension(field: Field, declared: Choice) -> Name:
    texts = tuple(hyperparameters.format_assignment("", value)[1:] for value in declared.values)
    _require(bool(texts), field, "at least one value")
    for text in texts:
        hyperparameters.parse_value(field, text)
    return Name(field, texts)


def _declared_architecture(field: Field, declared: Widths) -> Architecture:
    sound = field.type == "tuple[int, ...]" and 0 < declared.fewest <= declared.most and declared.low <= declared.high
    _require(sound and declared.low > 0, field, "tuple[int, ...] with 1 <= fewest <= most and 1 <= low <= high")
    return Architecture(field, declared.fewest, (width_ladder(declared.low, declared.high),) * declared.most)


def _derived_architecture(field: Field) -> Architecture:
    widths = [*field.default, field.default[-1]]
    _require(min(widths) > 0, field, "widths of at least 1, or Widths(…) that says what may be tried")
    ladders = tuple(tuple(sorted({*width_ladder(max(1, width // 2), 2 * width), width})) for width in widths)
    return Architecture(field, max(1, len(field.default) - 1), ladders)


def _require(sound: bool, field: Field, expected: str) -> None:
    if not sound:
        raise PipelineError(
            f"The search range of {field.name} does not fit it.",
            expected=expected,
            received=f"{field.name}: {field.type} = {field.default} with {field.range or 'no range'}",
            action="correct it in the recipe, or fix the value with --set",
        )


def width_ladder(low: int, high: int) -> tuple[int, ...]:
    """Returns both bounds, and between them the powers of two and the midpoints between these."""
    steps = {width for power in range(high.bit_length()) for width in (2**power, 3 * 2**power)}
    return tuple(sorted({low, high, *(step for step in steps if low < step < high)}))
