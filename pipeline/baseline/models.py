"""The standard models: gradient boosting of decision trees by histograms, and a linear or logistic model.

Sources: G. Ke et al., LightGBM: a highly efficient gradient boosting decision tree, NeurIPS 2017, of which
scikit-learn's HistGradientBoosting follows the method; G. Salton, C. Buckley, Term-weighting approaches in automatic
text retrieval, Information Processing & Management 24(5), 1988, for the weights of words.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.baseline import budget, inputs
from pipeline.baseline.encoders import LinearEncoder, TreeEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.baseline.inputs import Inputs
    from pipeline.baseline.rows import Columns

TREES, LINEAR, LOGISTIC = "gradient boosting", "linear model", "logistic regression"
PIXEL_STRENGTH = 0.03  # inverse of the penalty on pixels, which are many and alike: 0.35 of CIFAR-10 instead of 0.31


@dataclass(frozen=True)
class Task:
    """What is to be predicted.

    Attributes:
        kinds: Kind of each raw input.
        classes: Number of classes; 0 for a number.
        balanced: Whether all classes count alike, however rare.
    """

    kinds: Mapping[str, str]
    classes: int = 0
    balanced: bool = False


@dataclass
class Model:
    """One standard model; `fit` before `predict`.

    Attributes:
        name: What it is called.
        task: The task.
        encoder: Of the inputs into a matrix.
        estimator: Of scikit-learn.
        uses: What each input is.
        center: Median and deviation of the target; 0 and 1 for classes.
        rows: From which it has learnt.
    """

    name: str
    task: Task
    encoder: Any
    estimator: Any
    uses: Mapping[str, str]
    center: tuple[float, float] = field(default=(0.0, 1.0))
    rows: int = 0

    def fit(self, rows: Inputs, truth: np.ndarray) -> None:
        """Learns from rows.

        Args:
            rows: The inputs.
            truth: Class numbers or numbers, (rows,).
        """
        target = truth
        if not self.task.classes:
            # The unit of the target is not to change the result: solvers and trees have absolute tolerances.
            self.center = float(np.median(truth)), float(truth.std()) or 1.0
            target = (truth - self.center[0]) / self.center[1]
        matrix = self.encoder.fit_transform(rows)
        if self.task.classes and len(np.unique(truth)) == 1:
            from sklearn.dummy import DummyClassifier

            self.estimator = DummyClassifier()  # the others refuse to learn from one class
        step = limit_work(self.estimator, matrix, self.task.classes)
        self.rows = len(target[::step])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of convergence: so much time is what the baseline has
            self.estimator.fit(matrix[::step], target[::step])

    def predict(self, columns: Columns) -> np.ndarray:
        """Returns probabilities (rows, classes), or numbers (rows,).

        Args:
            columns: The raw inputs by name.
        """
        return self.predict_inputs(inputs.encode(columns, self.uses))

    def predict_inputs(self, rows: Inputs) -> np.ndarray:
        """Like `predict`, of encoded inputs."""
        matrix = self.encoder.transform(rows)
        if not self.task.classes:
            return np.asarray(self.estimator.predict(matrix) * self.center[1] + self.center[0])
        probabilities = np.zeros((matrix.shape[0], self.task.classes))
        probabilities[:, self.estimator.classes_] = self.estimator.predict_proba(matrix)
        return probabilities


@contextmanager
def one_thread() -> Iterator[None]:
    """Limits scikit-learn to one thread.

    On a busy machine the threads of OpenMP wait for each other: 20,000 rows took 27 s with two of them, 1 s with one.
    """
    import sklearn.ensemble  # noqa: F401  (first: the limit is for libraries that are loaded)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def make_models(task: Task, uses: Mapping[str, str], rows: Inputs) -> list[Model]:
    """Returns the models that suit the inputs, not fitted: trees for tables only.

    Args:
        task: The task.
        uses: What each input is.
        rows: The training rows.
    """
    kinds = set(uses.values())
    linear = _linear(task, PIXEL_STRENGTH if "image" in kinds else 1.0)
    models = [Model(LOGISTIC if task.classes else LINEAR, task, LinearEncoder(), linear, uses)]
    width = rows.numbers.shape[1] + rows.categories.shape[1]
    if width > 0 and not {"image", "sound"} & kinds:
        models.append(Model(TREES, task, TreeEncoder(), _trees(task, rows), uses))
    return models


def limit_work(estimator: Any, matrix: Any, classes: int) -> int:
    """Sets the estimator's iterations by the budget; returns the n of which it is to learn from every n-th row.

    Args:
        estimator: Of scikit-learn.
        matrix: The training rows, (rows, columns), dense or sparse.
        classes: Number of classes; 0 for a number.
    """
    rows, width = matrix.shape
    outputs = classes if classes > 2 else 1  # noqa: PLR2004  (two classes need one tree a round, and one line)
    if not hasattr(estimator, "max_iter"):
        return 1
    if hasattr(estimator, "categorical_features"):
        allowed = budget.tree_budget(rows, width, outputs)
    elif classes:
        numbers = matrix.nnz if hasattr(matrix, "nnz") else matrix.size
        allowed = budget.logistic_budget(rows, numbers, outputs)
    elif hasattr(matrix, "nnz"):  # solved by iterations over the numbers that are not zero
        return 1
    else:
        return budget.square_budget(rows, width).step
    estimator.set_params(max_iter=allowed.iterations)
    return allowed.step


def _linear(task: Task, strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    weights = "balanced" if task.balanced else None
    return LogisticRegression(C=strength, class_weight=weights) if task.classes else Ridge(1 / strength)


def _trees(task: Task, rows: Inputs) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    named = np.arange(rows.numbers.shape[1] + rows.categories.shape[1]) >= rows.numbers.shape[1]
    if task.classes:
        weights = "balanced" if task.balanced else None
        return HistGradientBoostingClassifier(categorical_features=named, class_weight=weights, random_state=0)
    return HistGradientBoostingRegressor(categorical_features=named, random_state=0)
