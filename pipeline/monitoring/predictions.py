"""What a model answers: its answers to the test split, kept when it is published, and those in logged responses.

They are compared as the inputs are: which class is the likeliest and how sure the model is, or the number it gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.monitoring.baseline import chosen
from pipeline.monitoring.profile import Fitting, Frame, Rows, counted
from pipeline.store import fileio

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CLASS, SURENESS, NUMBER = "predicted class", "predicted probability", "predicted number"
ROLES = {CLASS: "category", SURENESS: "number", NUMBER: "number"}


@dataclass(frozen=True)
class Answers:
    """A model's answers to the test split.

    Attributes:
        output: Name of the output.
        classes: Names of the classes; empty for a number.
        frame: How answers are counted, and what these count.
    """

    output: str
    classes: tuple[str, ...]
    frame: Frame

    def rows(self, values: Sequence[np.ndarray]) -> Rows:
        """Answers as rows.

        Args:
            values: Parts (rows, classes) or (rows,); parts of another shape are left out.
        """
        return rows([one for one in values if _fits(one, self.classes)], self.classes)


def _fits(answers: np.ndarray, classes: Sequence[str]) -> bool:
    return answers.shape[1:] == ((len(classes),) if classes else ())


def rows(parts: Sequence[np.ndarray], classes: Sequence[str]) -> Rows:
    """Answers (rows, classes) or (rows,) as rows: what is told of each."""
    found = Rows()
    if parts:
        answers = np.concatenate(parts)
        found.count = len(answers)
        if classes:
            names = [classes[place] for place in answers.argmax(axis=1)]
            found.columns = {CLASS: names, SURENESS: answers.max(axis=1).tolist()}
        else:
            found.columns = {NUMBER: answers.tolist()}
    return found


def keep(target: Path, answers: np.ndarray, output: str, classes: Sequence[str]) -> None:
    """Keeps how a model answered to the test split; does nothing where that is neither classes nor one number.

    Args:
        target: The file.
        answers: Its answers (rows, classes) or (rows,).
        output: Name of the output.
        classes: Names of the classes; empty for a number.
    """
    if len(answers) == 0 or not _fits(answers, classes):
        return
    halves = chosen(len(answers), len(answers))
    drawn, counts = (rows([answers[halves == half]], classes) for half in (1, 2))
    fittings = [Fitting(name, ROLES[name]) for name in drawn.columns]
    for fitting in fittings:
        fitting.add(drawn.columns[fitting.name])
    features = tuple(fitting.feature() for fitting in fittings)
    frame = Frame(features, counted(features, counts), len(answers))
    fileio.write_json(target, {"output": output, "classes": list(classes), "frame": frame.as_json()})


def load(source: Path) -> Answers | None:
    """The answers that were kept; None where there are none."""
    found: dict[str, Any] | None = fileio.read_json(source)
    return Answers(found["output"], tuple(found["classes"]), Frame.of_json(found["frame"])) if found else None
