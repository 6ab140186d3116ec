"""Transform: the recipe's `preprocess` as a TensorFlow graph, used in training and in the served model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, describe_cause
from pipeline.features import targets
from pipeline.recipe import restore_params
from pipeline.recipes import catalog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.formats.base import Dataset
    from pipeline.recipe import Recipe


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Preprocesses features and label or targets; the function that TFX's Transform calls by its dotted name."""
    recipe = catalog.load_recipe(Path(custom_config["recipe"]))
    p = type(recipe.params)(**restore_params(custom_config["params"]))
    raw = squeeze_singles(inputs)
    features = {name: value for name, value in raw.items() if name in recipe.data.inputs}
    features = _call_hook("preprocess", recipe.preprocess, features, p)
    if not targets.target_kinds(recipe.data):
        return {**features, recipe.data.label: encode_label(raw[recipe.data.label], recipe.data)}
    return {**features, **_preprocess_targets(recipe, raw, p)}


def _preprocess_targets(recipe: Recipe, raw: Mapping[str, Any], p: Any) -> dict[str, Any]:
    """Returns the preprocessed targets by their names in the graph."""
    answer = {name: raw[name] for name in targets.target_kinds(recipe.data)}
    if recipe.preprocess_targets:
        answer = _call_hook("preprocess_targets", recipe.preprocess_targets, answer, p)
    return {targets.PREFIX + name: value for name, value in answer.items()}


def _call_hook(name: str, hook: Any, values: dict[str, Any], p: Any) -> dict[str, Any]:
    try:
        result: dict[str, Any] = hook(values, p)
    except Exception as error:
        raise PipelineError(
            f"{name}() of the recipe fails.",
            expected=f"{name}({'inputs' if name == 'preprocess' else 'targets'}, p) over {', '.join(values)}",
            received=describe_cause(error),
            action=f"correct {name}() in the recipe, or the columns that its data declare",
        ) from error
    return {key: _to_stored_type(value) for key, value in result.items()}


def _to_stored_type(value: Any) -> Any:
    """Casts numbers to float32 or int64 and truth values to 0 or 1: a Transform graph gives no others."""
    import tensorflow as tf

    if value.dtype.is_floating:
        return tf.cast(value, tf.float32)
    return tf.cast(value, tf.int64) if value.dtype.is_integer or value.dtype.is_bool else value


def squeeze_singles(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns Transform's inputs, single values (batch, 1) or vectors, as tensors (batch,) or (batch, …)."""
    import tensorflow as tf

    return {
        name: tf.squeeze(value, axis=1) if value.shape.rank == 2 and value.shape[1] == 1 else value  # noqa: PLR2004
        for name, value in inputs.items()
    }


def encode_label(label: Any, data: Dataset) -> Any:
    """Maps class names (batch,) to int64 positions among the declared classes; numbers and vectors to float32."""
    import tensorflow as tf

    if not data.classes:
        return tf.cast(label, tf.float32)
    equal = tf.equal(label[:, None], tf.constant([name.encode() for name in data.classes])[None, :])
    return tf.argmax(tf.cast(equal, tf.int32), axis=1)  # (batch, classes) -> (batch,)
