"""Forecasts without a network: repeating the last value or the last season, and a linear autoregression.

Source: R. Hyndman, G. Athanasopoulos, Forecasting: principles and practice, 3rd edition, 2021, sections 5.2 and 12.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.baseline import budget

if TYPE_CHECKING:
    from pipeline.baseline.rows import Columns

LAST, SEASONAL, LINEAR = "the last value", "the season of {} steps", "linear autoregression"
SAMPLED = 2000  # windows from which the season is chosen
MAX_WIDTH = 3000  # numbers of a window that the autoregression gets


@dataclass
class Naive:
    """Repeats the last season of the target; a season of one step is the last value.

    Attributes:
        past: Input with the past of the target, (rows, length).
        name: What it is called; known after `fit`.
        season: Steps.
        horizon: Steps that it answers.
        rows: Windows from which it has learnt.
    """

    past: str
    name: str = ""
    season: int = 1
    horizon: int = 1
    rows: int = 0

    def fit(self, columns: Columns, truth: np.ndarray) -> None:
        """Chooses the season with the smallest error.

        Args:
            columns: The raw inputs by name.
            truth: The next steps, (rows, horizon).
        """
        self.horizon, self.rows = truth.shape[1], len(truth)
        step = max(len(truth) // SAMPLED, 1)
        past, known = fill(columns[self.past][::step]), truth[::step]
        errors = [np.abs(repeat(past, season, known.shape[1]) - known).mean() for season in range(1, past.shape[1] + 1)]
        self.season = int(np.argmin(errors)) + 1
        self.name = LAST if self.season == 1 else SEASONAL.format(self.season)

    def predict(self, columns: Columns) -> np.ndarray:
        """Returns the next steps, (rows, horizon of the training)."""
        answers = repeat(fill(columns[self.past]), self.season, self.horizon)
        return answers.astype(columns[self.past].dtype)  # as precise as the recipe's own, against which it is measured


@dataclass
class Autoregression:
    """A linear model of the windows, as differences to the last value of the target.

    Attributes:
        past: Input with the past of the target, (rows, length).
        vectors: Other inputs of numbers, (rows, length) each.
        name: What it is called.
        estimator: Of scikit-learn.
        spread: Deviation of the past, the unit in which it learns.
        rows: Windows from which it has learnt.
    """

    past: str
    vectors: tuple[str, ...]
    name: str = LINEAR
    estimator: Any = None
    spread: float = 1.0
    rows: int = 0

    def fit(self, columns: Columns, truth: np.ndarray) -> None:
        """Learns from windows; see `Naive.fit`."""
        from sklearn.linear_model import RidgeCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self.spread = float(np.nanstd(columns[self.past])) or 1.0
        self.estimator = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-5, 5, 11)))
        last = fill(columns[self.past])[:, -1:]
        matrix = self._matrix(columns)
        rows, width = matrix.shape
        step = budget.square_budget(rows, width, budget.DECOMPOSITION).step
        self.rows = len(matrix[::step])
        self.estimator.fit(matrix[::step], ((truth - last) / self.spread)[::step])

    def predict(self, columns: Columns) -> np.ndarray:
        """Returns the next steps, (rows, horizon)."""
        last = fill(columns[self.past])[:, -1:]
        return np.asarray(last + self.spread * self.estimator.predict(self._matrix(columns)).reshape(len(last), -1))

    def _matrix(self, columns: Columns) -> np.ndarray:
        past = fill(columns[self.past])
        parts = [past - past[:, -1:], past[:, -1:], *(fill(columns[name]) for name in self.vectors)]
        return np.concatenate(parts, axis=1)[:, :MAX_WIDTH]


def fill(values: np.ndarray) -> np.ndarray:
    """Fills NaN with the last number of the row before it, or the first after it, or 0: (rows, length)."""
    filled = np.array(values, np.float64).reshape(len(values), -1)
    filled[~np.isfinite(filled)] = np.nan
    for way in (1, -1):
        turned = filled[:, ::way]
        known = np.maximum.accumulate(np.where(np.isnan(turned), 0, np.arange(turned.shape[1])), axis=1)
        filled = np.take_along_axis(turned, known, axis=1)[:, ::way]
    return np.nan_to_num(filled)


def repeat(past: np.ndarray, season: int, horizon: int) -> np.ndarray:
    """Repeats the last `season` steps of the past: (rows, horizon)."""
    return past[:, past.shape[1] - season + np.arange(horizon) % season]
