"""The space of a search: which hyperparameters vary, each within what, and which stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline import params
from pipeline.catalogue import did_you_mean
from pipeline.errors import UsageError
from pipeline.tuning import dimension

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from optuna import Trial

    from pipeline.catalogue import Source
    from pipeline.tuning.dimension import Dimension

# How long a trial may take is no property of the model, and a loss is not comparable with another one.
UNLESS_NAMED = {"epochs", "fine_tune_epochs", "patience", "loss"}


@dataclass(frozen=True)
class Space:
    """What is searched.

    Attributes:
        base: All hyperparameters with the values that they have where they do not vary; the first trial has them all.
        dimensions: The ones that vary, by name.
    """

    base: dict[str, Any]
    dimensions: Mapping[str, Dimension]

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """All hyperparameters of a trial."""
        return {**self.base, **{name: one.suggest(trial) for name, one in self.dimensions.items()}}

    def pinned(self) -> dict[str, Any]:
        """What a trial has to be given so that it is the recipe as it stands, as far as the ranges hold that."""
        found: dict[str, Any] = {}
        for name, one in self.dimensions.items():
            if one.contains(self.base[name]):
                found |= one.pinned(self.base[name])
        return found

    def changed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The searched values that differ from the recipe's."""
        return {name: values[name] for name in self.dimensions if values[name] != self.base[name]}

    def described(self) -> dict[str, str]:
        """Each range in words, by name."""
        return {name: one.field.range or one.words for name, one in self.dimensions.items()}


def space(source: Source, base: dict[str, Any], only: Collection[str], fixed: Collection[str]) -> Space:
    """The space of a recipe.

    Args:
        source: The recipe.
        base: Its hyperparameters with those that were set.
        only: The ones to search; empty for all that have a range, but those that bound the training's length or are
            the loss itself.
        fixed: The ones that were set, which do not vary.

    Raises:
        UsageError: Nothing to search, or a name that cannot be searched.
    """
    declared = params.fields(source)
    for name in only:
        if name not in declared or name in fixed:
            raise _unknown(source, name, declared, fixed)
    names = [name for name in declared if name in only or not (only or name in fixed or name in UNLESS_NAMED)]
    found = {name: dimension.of(declared[name]) for name in names}
    searched = {name: one for name, one in found.items() if one is not None}
    missing = [name for name in only if name not in searched]
    if missing or not searched:
        raise UsageError(
            f"{source.name} declares no range for {', '.join(missing) or 'any hyperparameter that is not set'}.",
            expected="Annotated[float, Range(low, high)], Annotated[str, Choice(…)] or a tuple of widths in its Params",
            received=", ".join(f"{name}: {declared[name].type}" for name in missing or declared),
            action=f"declare a range in {source.path}",
        )
    return Space(base, searched)


def _unknown(source: Source, name: str, declared: Collection[str], fixed: Collection[str]) -> UsageError:
    set_too = name in fixed
    return UsageError(
        f"{name} is both set and searched." if set_too else f"{source.name} has no hyperparameter {name!r}.",
        expected="--only with hyperparameters that --set does not fix"
        if set_too
        else f"--only with some of {', '.join(declared)}",
        received=name,
        action=did_you_mean(name, [] if set_too else declared) or f"see them with: keraspipe show {source.name}",
    )
