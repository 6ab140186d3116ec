"""A model's predictions on the test split, saved when it is published, and those in logged responses.

They are compared as inputs are: the predicted class and its probability, or the predicted number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.monitoring.baseline import draw_halves
from pipeline.monitoring.profile import Baseline, FeatureBuilder, Rows, count_rows
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PREDICTED_CLASS, PROBABILITY, PREDICTED_NUMBER = "predicted class", "predicted probability", "predicted number"
ROLES = {PREDICTED_CLASS: "category", PROBABILITY: "number", PREDICTED_NUMBER: "number"}


@dataclass(frozen=True)
class Predictions:
    """A model's predictions on the test split.

    Attributes:
        output: Name of the output.
        classes: Names of the classes; empty for a number.
        frame: The baseline: histograms of the predictions.
    """

    output: str
    classes: tuple[str, ...]
    frame: Baseline

    def rows(self, values: Sequence[np.ndarray]) -> Rows:
        """Returns predictions as rows.

        Args:
            values: Parts (rows, classes) or (rows,); parts of another shape are ignored.
        """
        return to_rows([part for part in values if _has_shape(part, self.classes)], self.classes)


def _has_shape(answers: np.ndarray, classes: Sequence[str]) -> bool:
    return answers.shape[1:] == ((len(classes),) if classes else ())


def to_rows(parts: Sequence[np.ndarray], classes: Sequence[str]) -> Rows:
    """Returns predictions (rows, classes) or (rows,) as rows: class and probability, or the number."""
    result = Rows()
    if parts:
        answers = np.concatenate(parts)
        result.count = len(answers)
        if classes:
            names = [classes[place] for place in answers.argmax(axis=1)]
            result.columns = {PREDICTED_CLASS: names, PROBABILITY: answers.max(axis=1).tolist()}
        else:
            result.columns = {PREDICTED_NUMBER: answers.tolist()}
    return result


def save(target: Path, answers: np.ndarray, output: str, classes: Sequence[str]) -> None:
    """Saves a model's predictions on the test split; does nothing if they are neither classes nor one number.

    Args:
        target: The file.
        answers: The predictions (rows, classes) or (rows,).
        output: Name of the output.
        classes: Names of the classes; empty for a number.
    """
    if len(answers) == 0 or not _has_shape(answers, classes):
        return
    halves = draw_halves(len(answers), len(answers))
    drawn, counts = (to_rows([answers[halves == half]], classes) for half in (1, 2))
    fittings = [FeatureBuilder(name, ROLES[name]) for name in drawn.columns]
    for fitting in fittings:
        fitting.add(drawn.columns[fitting.name])
    features = tuple(fitting.feature() for fitting in fittings)
    frame = Baseline(features, count_rows(features, counts), len(answers))
    fileio.write_json(target, {"output": output, "classes": list(classes), "frame": frame.as_json()})


def load(source: Path) -> Predictions | None:
    """Reads the saved predictions; None if there are none."""
    content: dict[str, Any] | None = fileio.read_json(source)
    return (
        Predictions(content["output"], tuple(content["classes"]), Baseline.from_json(content["frame"]))
        if content
        else None
    )
