"""The front of a search as a picture in its folder and as an event of its journal, from which MLflow gets both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.plots.front import draw_front
from pipeline.store import journal
from pipeline.tuning.trial import COMPLETE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.store.layout import RunFolder
    from pipeline.tuning.plan import Search, SearchResult
    from pipeline.tuning.trial import Trial

PICTURE_DPI = 100  # two panels are as wide as the text of a run in MLflow, which does not scale pictures


def report_front(folder: RunFolder, plan: Search, result: SearchResult) -> None:
    """Draws the front and writes it to the journal."""
    facts = describe_front(plan, result)
    draw_front(facts).savefig(folder.front_picture, dpi=PICTURE_DPI)
    journal.report("front", picture=folder.workspace.relative(folder.front_picture), **facts)


def find_pick(folder: RunFolder, plan: Search, front: Sequence[Trial]) -> int | None:
    """Returns the trial that this call picks, if it is on the front; else that of an earlier call."""
    if plan.pick in [trial.number for trial in front]:
        return plan.pick
    events = [event.fields for event in journal.read_events(folder.journal) if event.kind == "front"]
    return events[-1]["picked"] if events else None


def describe_front(plan: Search, result: SearchResult) -> dict[str, Any]:
    """Returns the event's fields: the objectives, all complete trials, and which are on the front."""
    complete = [trial for trial in result.trials if trial.state == COMPLETE]
    return {
        "objectives": [
            {
                "name": each.name,
                "direction": each.direction,
                "unit": each.unit,
                "is_count": each.is_count,
                "axis": each.axis,
            }
            for each in plan.objectives
        ],
        "trials": [{"number": trial.number, "values": trial.values, "params": trial.params} for trial in complete],
        "front": [trial.number for trial in result.ranking],
        "balanced": result.best.number,
        "picked": result.picked,
        "own": next((trial.number for trial in complete if trial.params == plan.space.base), None),
    }
