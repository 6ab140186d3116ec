"""What a model predicts: its predictions on the test split, kept when it is published, and those in logged responses.

They are compared as the inputs are: which class is the likeliest and how sure the model is, or the number it gives.
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
    """A model's answers to the test split.

    Attributes:
        output: Name of the output.
        classes: Names of the classes; empty for a number.
        frame: How answers are counted, and what these count.
    """

    output: str
    classes: tuple[str, ...]
    frame: Baseline

    def rows(self, values: Sequence[np.ndarray]) -> Rows:
        """Answers as rows.

        Args:
            values: Parts (rows, classes) or (rows,); parts of another shape are left out.
        """
        return to_rows([part for part in values if _has_shape(part, self.classes)], self.classes)


def _has_shape(answers: np.ndarray, classes: Sequence[str]) -> bool:
    return answers.shape[1:] == ((len(classes),) if classes else ())


def to_rows(parts: Sequence[np.ndarray], classes: Sequence[str]) -> Rows:
    """Answers (rows, classes) or (rows,) as rows: what is told of each."""
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
    """Keeps how a model answered to the test split; does nothing where that is neither classes nor one number.

    Args:
        target: The file.
        answers: Its answers (rows, classes) or (rows,).
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
    """The answers that were kept; None where there are none."""
    content: dict[str, Any] | None = fileio.read_json(source)
    return (
        Predictions(content["output"], tuple(content["classes"]), Baseline.from_json(content["frame"]))
        if content
        else None
    )
