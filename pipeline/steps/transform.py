"""Transform: the recipe's `preprocess` as a TensorFlow graph, used in training and in the served model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, describe_cause
from pipeline.recipe import restore_params
from pipeline.recipes import catalog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.formats.base import Dataset
    from pipeline.recipe import Recipe


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Preprocesses features and label; the function that TFX's Transform calls by its dotted name."""
    recipe = catalog.load_recipe(Path(custom_config["recipe"]))
    p = type(recipe.params)(**restore_params(custom_config["params"]))
    raw = to_dense(inputs)
    features = {name: value for name, value in raw.items() if name in recipe.data.inputs}
    return {**_preprocess(recipe, features, p), recipe.data.label: encode_label(raw[recipe.data.label], recipe.data)}


def _preprocess(recipe: Recipe, features: dict[str, Any], p: Any) -> dict[str, Any]:
    try:
        return recipe.preprocess(features, p)
    except Exception as error:
        raise PipelineError(
            "preprocess() of the recipe fails.",
            expected=f"preprocess(inputs, p) over the inputs {', '.join(features)}",
            received=describe_cause(error),
            action="correct preprocess() in the recipe, or the columns that its data declare",
        ) from error


def to_dense(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns raw features as tensors (batch,) or, for vectors, (batch, …); a missing value is NaN, "" or 0.

    Transform's inputs are single values (batch, 1), sparse if they may be missing. All of a type are converted at once:
    TFX traces the graph six times, and a table may have thousands of columns.
    """
    import tensorflow as tf

    dense = {name: _squeeze(value) for name, value in inputs.items() if not isinstance(value, tf.SparseTensor)}
    sparse = {name: value for name, value in inputs.items() if name not in dense}
    for dtype in {value.dtype for value in sparse.values()}:
        names = [name for name, value in sparse.items() if value.dtype == dtype]
        dense |= dict(zip(names, _to_columns([sparse[name] for name in names]), strict=True))
    return {name: dense[name] for name in inputs}


def _to_columns(values: list[Any]) -> list[Any]:
    """Returns sparse tensors of one type, (batch, 0) or (batch, 1), as dense ones (batch,)."""
    import tensorflow as tf

    dtype = values[0].dtype
    shape = tf.stack([values[0].dense_shape[0], 1])  # where all are missing it may be (batch, 0)
    table = tf.sparse.concat(1, [tf.SparseTensor(value.indices, value.values, shape) for value in values])
    missing = "" if dtype == tf.string else math.nan if dtype.is_floating else 0
    columns: list[Any] = tf.unstack(tf.sparse.to_dense(table, tf.constant(missing, dtype)), len(values), axis=1)
    return columns


def _squeeze(value: Any) -> Any:
    """Returns a single value (batch, 1) as (batch,), and any other tensor as it is."""
    import tensorflow as tf

    return tf.squeeze(value, axis=1) if value.shape.rank == 2 and value.shape[1] == 1 else value  # noqa: PLR2004


def encode_label(label: Any, data: Dataset) -> Any:
    """Maps class names (batch,) to int64 positions among the declared classes; numbers and vectors to float32."""
    import tensorflow as tf

    if not data.classes:
        return tf.cast(label, tf.float32)
    equal = tf.equal(label[:, None], tf.constant([name.encode() for name in data.classes])[None, :])
    return tf.argmax(tf.cast(equal, tf.int32), axis=1)  # (batch, classes) -> (batch,)
