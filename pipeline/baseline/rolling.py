"""What a linear autoregression reaches on parts of a series that it has not seen, before there is a recipe.

Source: L. Tashman, Out-of-sample tests of forecasting accuracy, International Journal of Forecasting 16(4), 2000,
section 3: the origin rolls forward, and each part is forecast by what was learnt from all before it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from pipeline.baseline import models
from pipeline.baseline.series import Autoregression, fill, repeat

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.baseline.rows import Columns
    from pipeline.formats.base import Example

MIN_FITTED, MIN_TESTED = 20, 3  # windows


@dataclass(frozen=True)
class Windows:
    """Windows of time series.

    Attributes:
        columns: The inputs that are numbers, by name, (rows, length) each.
        truth: The next steps, (rows, horizon).
        begins: Time of the first step of each.
        ends: Time of the last step of each, horizon included.
    """

    columns: Columns
    truth: np.ndarray
    begins: np.ndarray
    ends: np.ndarray

    def take(self, rows: np.ndarray) -> Windows:
        """Returns some of the rows, (rows,) of bool."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Windows(columns, self.truth[rows], self.begins[rows], self.ends[rows])


@dataclass(frozen=True)
class Skills:
    """Shares by which the autoregression's error is below that of naive forecasts, in one part of the time.

    Attributes:
        last: Below that of repeating the last value.
        best: Below that of the best naive forecast: the last value, the mean of the window, a season ago, or the median
            of what came before.
    """

    last: float
    best: float


def gather_windows(examples: Iterable[Example], names: Sequence[str], label: str) -> Windows:
    """Returns the sound windows of a data set.

    Args:
        examples: The windows.
        names: Inputs that are numbers.
        label: Name of the label.
    """
    rows = [example for example in examples if not example.fault]
    columns = {name: np.array([row.features[name] for row in rows], float) for name in names}
    truth = np.array([row.features[label] for row in rows], float)
    return Windows(columns, truth, _times([row.begins for row in rows]), _times([row.ends for row in rows]))


def _times(texts: list[str]) -> np.ndarray:
    return np.array([datetime.fromisoformat(text) for text in texts], object)


def roll(windows: Windows, past: str, season: int, borders: Sequence[datetime]) -> list[Skills]:
    """Returns the skills in each part between two borders, learnt from the windows before it.

    Args:
        windows: The windows.
        past: Input with the past of the target.
        season: Steps after which things come round again.
        borders: Times, ascending; the first part begins at the first one.
    """
    skills = []
    for begin, end in itertools.pairwise(borders):
        fitted = windows.take(windows.ends < begin)
        tested = windows.take((windows.begins >= begin) & (windows.ends < end))
        if len(fitted.truth) >= MIN_FITTED and len(tested.truth) >= MIN_TESTED:
            skills.append(_measure(fitted, tested, past, season))
    return [skill for skill in skills if np.isfinite([skill.last, skill.best]).all()]


def _measure(fitted: Windows, tested: Windows, past: str, season: int) -> Skills:
    model = Autoregression(past, tuple(name for name in fitted.columns if name != past))
    with models.one_thread():
        model.fit(fitted.columns, fitted.truth)
        forecast = model.predict(tested.columns)
    known = fill(tested.columns[past])
    usual, horizon = np.nanmedian(fitted.truth), tested.truth.shape[1]
    guesses = (known[:, -1:], known.mean(axis=1, keepdims=True), repeat(known, season, horizon), usual)
    error, *naive = (np.abs(guess - tested.truth).mean() for guess in (forecast, *guesses))
    with np.errstate(divide="ignore", invalid="ignore"):
        return Skills(float(1 - error / naive[0]), float(1 - error / min(naive)))
