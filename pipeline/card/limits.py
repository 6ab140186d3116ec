"""Where a model must not be trusted, as its run's record shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.account import Account

FEW = 30  # examples, under which one metric of a slice says little
RARE = 0.1  # of the most frequent class


def limits(told: Account) -> list[str]:
    """One sentence each."""
    return [*_asked(told), *_data(told), *_evaluation(told)]


def _asked(told: Account) -> Iterator[str]:
    if told.params.get("quick"):
        yield "Made by a --quick run, on a small sample and few epochs: to try the road, not to be used."


def _data(told: Account) -> Iterator[str]:
    classes, bad = told.data.get("classes", {}), told.data.get("bad", [])
    if classes:
        yield f"Knows {len(classes)} classes and answers with one of them whatever it is shown."
        most = max(classes.values())
        rare = [name for name, count in classes.items() if count < RARE * most]
        if rare:
            yield f"Has seen few examples of {', '.join(rare[:10])}: less than a tenth of the most frequent class."
    if bad:
        yield f"{len(bad)} rows could not be used and are in no number here."
    if told.data:
        yield "Was measured on data split from the same source; other cameras, years or people may give other numbers."


def _evaluation(told: Account) -> Iterator[str]:
    few = [one["slice"] for one in told.evaluation.get("slices") or [] if (one.get("examples") or 0) < FEW]
    if few:
        yield f"Slices of fewer than {FEW} test examples, whose numbers are rough: {', '.join(few[:12])}."
    if told.evaluation and not told.evaluation.get("slices"):
        yield "Was not measured per group: nothing is known of how evenly it serves them."
    if "overfitting" in told.result.get("diagnosis", "").replace("no sign of under- or overfitting", ""):
        yield "Its training shows overfitting, see the curves."
    for condition in told.evaluation.get("gate", {}).get("conditions", []):
        if not condition["passed"]:
            yield f"Missed in the gate: {condition['words']}."
