"""How much work a standard model may cost: a few seconds on one core, whatever the data.

The bounds are on rows and iterations, not on seconds: the same data have the same result on a busy machine.
"""

from __future__ import annotations

from dataclasses import dataclass

TREE_CELLS = 8_000_000  # numbers of the rows, times the trees of a round: 3 s
TREE_ROUNDS, LEAST_ROUNDS, TREES = 100, 20, 2000  # rounds as scikit-learn has them; trees in all
MULTIPLICATIONS = 10_000_000_000  # of a logistic regression in all its iterations: 3 s
LEAST_ITERATIONS, MOST_ITERATIONS = 20, 200
SQUARES = 50_000_000_000  # multiplications of rows with each other, for a linear model in closed form: 3 s
DECOMPOSITION = 10_000_000_000  # the same for a singular value decomposition, which takes longer
LEAST_ROWS = 500
TEXT_BYTES = 16 << 20  # of all training texts: 4 s


@dataclass(frozen=True)
class Budget:
    """What a model may use.

    Attributes:
        step: It learns from every n-th row.
        iterations: Rounds or iterations, at most.
    """

    step: int = 1
    iterations: int = 1


def thin(rows: int, work: float, most: float) -> int:
    """Returns the n of which every n-th row is used, so that the work is at most `most`, but 500 rows at least."""
    step = max(-(-int(work) // int(most)), 1)
    return max(min(step, rows // LEAST_ROWS), 1)


def tree_budget(rows: int, width: int, outputs: int) -> Budget:
    """Returns the budget of gradient boosting.

    Args:
        rows: Of the training.
        width: Columns.
        outputs: Trees of a round: one for each class.
    """
    rounds = min(max(TREES // outputs, LEAST_ROUNDS), TREE_ROUNDS)
    return Budget(thin(rows, rows * width * outputs * rounds / TREE_ROUNDS, TREE_CELLS), rounds)


def logistic_budget(rows: int, numbers: int, classes: int) -> Budget:
    """Returns the budget of a logistic regression.

    Args:
        rows: Of the training.
        numbers: Numbers of the matrix that are not zero.
        classes: Number of classes.
    """
    each = max(numbers * classes, 1)
    step = thin(rows, LEAST_ITERATIONS * each, MULTIPLICATIONS)
    iterations = int(MULTIPLICATIONS * step // each)
    return Budget(step, min(max(iterations, LEAST_ITERATIONS), MOST_ITERATIONS))


def square_budget(rows: int, width: int, most: int = SQUARES) -> Budget:
    """Returns the budget of a linear model in closed form.

    Args:
        rows: Of the training.
        width: Columns.
        most: Multiplications.
    """
    return Budget(thin(rows, rows * width**2, most))
