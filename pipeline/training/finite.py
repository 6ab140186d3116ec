"""Names the features that are no numbers, before a training would end in a loss that is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    import keras

    from pipeline.training.input_pipeline import Rows

CHECKED_ROWS = 2048
ASKED_ROWS = 64


def require_finite(model: keras.Model, rows: Rows) -> None:
    """Raises a PipelineError if features are NaN or infinite and the network makes no numbers of them.

    Args:
        model: The network, not trained yet.
        rows: Of the training; the first ones are checked.
    """
    import numpy as np

    features: dict[str, Any] = next(
        rows.dataset.batch(CHECKED_ROWS).map(lambda features, _: features).as_numpy_iterator()
    )
    faulty = {name: _faulty_rows(value) for name, value in features.items() if value.dtype.kind == "f"}
    counts = {name: int(where.sum()) for name, where in faulty.items() if where.any()}
    if not counts:
        return
    places = np.flatnonzero(np.logical_or.reduce(list(faulty.values())))[:ASKED_ROWS]
    answer = model({name: value[places] for name, value in features.items()}, training=False)
    if not all(np.isfinite(np.asarray(part, np.float64)).all() for part in _arrays(answer)):
        checked = len(next(iter(features.values())))
        raise PipelineError(
            "Features are no numbers, and the network makes none of them.",
            expected="numbers in every row: preprocess fills what is missing",
            received=", ".join(f"{name}: NaN or infinite in {n} of {checked} rows" for name, n in counts.items()),
            action="fill them in preprocess(), such as tf.where(tf.math.is_nan(x), 0.0, x); a division by zero and the "
            "logarithm of 0 make them, too",
        )


def _faulty_rows(value: Any) -> Any:
    import numpy as np

    return ~np.isfinite(value.astype(np.float32)).reshape(len(value), -1).all(axis=1)


def _arrays(answer: Any) -> list[Any]:
    import keras

    return [keras.ops.convert_to_numpy(part) for part in keras.tree.flatten(answer)]
