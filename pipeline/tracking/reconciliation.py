"""Aliases that somebody has changed in MLflow become where versions stand; what MLflow has missed, it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import champion, promotion
from pipeline.errors import PipelineError
from pipeline.tracking import aliases, told

if TYPE_CHECKING:
    from pipeline.tracking.destination import Destination
    from pipeline.tracking.told import Aliases
    from pipeline.workspace import Workspace


@dataclass(frozen=True)
class Reconciled:
    """What became of a recipe's aliases.

    Attributes:
        name: The recipe.
        aliases: Versions by alias, here and there.
        applied: Changes by hand that hold here now, in words.
        told: What MLflow was told, in words.
        problems: What could be neither, in words; here and there all stays as it is.
    """

    name: str
    aliases: Aliases
    applied: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def reconcile(destination: Destination, workspace: Workspace, name: str) -> Reconciled:
    """Makes a recipe's record and MLflow's aliases one.

    An alias that is not what MLflow was told was changed by hand. Changed here too, nobody can say which is meant.

    Raises:
        Unreachable: MLflow does not answer; nothing changes then.
    """
    theirs, known = aliases.read(destination, name), told.read(workspace, name, destination.uri)
    applied, problems = [], []
    for alias in aliases.ALIASES:
        now = champion.recorded(workspace, name).aliases
        if not _by_hand(alias, theirs, now, known):
            continue
        try:
            _require_alone(name, alias, theirs, now, known)
            _apply(workspace, name, alias, theirs.get(alias, 0))
            applied.append(f"{alias} {_said(now, alias)} -> {_said(theirs, alias)}, as set in MLflow")
        except PipelineError as error:
            problems.append(str(error))
    now = champion.recorded(workspace, name).aliases
    missed = [] if problems else [f"{alias} {_said(now, alias)}" for alias in _differing(now, theirs)]
    with aliases.asking(destination):
        problems += [] if problems else aliases.tell(destination, workspace, name)
    return Reconciled(name, now, tuple(applied), tuple(missed), tuple(problems))


def _by_hand(alias: str, theirs: Aliases, now: Aliases, known: Aliases | None) -> bool:
    """Whether somebody has set an alias; a champion's that was taken away is given back."""
    if theirs.get(alias) == now.get(alias) or (alias not in theirs and (alias == "champion" or known is None)):
        return False
    return known is None or theirs.get(alias) != known.get(alias)


def _require_alone(name: str, alias: str, theirs: Aliases, now: Aliases, known: Aliases | None) -> None:
    if known is None or now.get(alias) == known.get(alias):
        return
    raise PipelineError(
        f"The {alias} of {name} was changed here and in MLflow.",
        expected=f"version {_said(known, alias)}, which MLflow was told last, on one of both sides",
        received=f"{_said(now, alias)} here, {_said(theirs, alias)} in MLflow",
        action=f"say which it is: keraspipe {'promote' if alias == 'champion' else alias} {name}@VERSION",
    )


def _apply(workspace: Workspace, name: str, alias: str, version: int) -> None:
    if alias == "champion":
        promotion.promote(workspace, f"{name}@{version}")
    elif version:
        promotion.challenge(workspace, f"{name}@{version}")
    else:
        promotion.withdraw(workspace, name)


def _differing(now: Aliases, theirs: Aliases) -> list[str]:
    return [alias for alias in aliases.ALIASES if now.get(alias) != theirs.get(alias)]


def _said(versions: Aliases, alias: str) -> str:
    return str(versions.get(alias) or "none")
