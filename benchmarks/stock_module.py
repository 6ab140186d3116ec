"""The user code of the stock pipeline, after TFX's templates, with the recipe's network, preprocessing, augmentation.

The training reads Transform's output. It caches the parsed rows in memory and augments in tf.data as keraspipe does,
unlike the templates: the comparison is about the pipeline, not about a slower training loop.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx_bsl.public.tfxio import TensorFlowDatasetOptions

from pipeline.recipe import Spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfx.components.trainer.fn_args_utils import FnArgs

    from pipeline.recipe import Recipe

READ_TOGETHER = 256
VALIDATION_BATCH = 512


def _recipe(custom_config: dict[str, Any]) -> tuple[Recipe, Any]:
    recipe = importlib.import_module(f"models.{custom_config['recipe']}").RECIPE
    epochs = custom_config["epochs"]
    return recipe, dataclasses.replace(recipe.params, epochs=epochs, patience=epochs)


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Applies the recipe's preprocessing to tensors of shape (batch, 1); class names of digits are numbers already."""
    recipe, p = _recipe(custom_config)
    label = recipe.data.label
    features = {name: tf.squeeze(value, axis=1) for name, value in inputs.items() if name != label}
    return {**recipe.preprocess(features, p), label: tf.strings.to_number(inputs[label], tf.int64)}


def run_fn(args: FnArgs) -> None:
    """Trains and exports."""
    recipe, p = _recipe(args.custom_config)
    transform = tft.TFTransformOutput(args.transform_graph_path)
    train, evaluation = (
        _rows(files, args, transform, recipe.data.label) for files in (args.train_files, args.eval_files)
    )
    count = int(train.cardinality())
    steps = args.train_steps or count // p.batch_size
    features = {name: (tuple(spec.shape), spec.dtype.name) for name, spec in train.element_spec[0].items()}
    model = recipe.build(p, Spec(features, tuple(recipe.data.classes), steps * p.epochs))
    batches = train.cache().shuffle(count).batch(p.batch_size, drop_remainder=True)
    model.fit(
        batches.map(_augmentation(recipe, p), num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE),
        validation_data=evaluation.batch(VALIDATION_BATCH).cache(),
        steps_per_epoch=args.train_steps,
        epochs=p.epochs,
        callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=p.patience, restore_best_weights=True)],
        verbose=0,
    )
    _export(recipe, model, transform, args.serving_model_dir)


def _rows(files: list[str], args: FnArgs, transform: tft.TFTransformOutput, label: str) -> tf.data.Dataset:
    options = TensorFlowDatasetOptions(batch_size=READ_TOGETHER, num_epochs=1, shuffle=False, label_key=label)
    schema = transform.transformed_metadata.schema
    rows = args.data_accessor.tf_dataset_factory(files, options, schema).unbatch()
    return rows.apply(tf.data.experimental.assert_cardinality(int(rows.reduce(0, lambda total, _: total + 1))))


def _augmentation(recipe: Recipe, p: Any) -> Callable[..., Any]:
    layers = recipe.augment(p)

    def augment(features: dict[str, Any], label: Any) -> tuple[dict[str, Any], Any]:
        value = features[recipe.augmented]
        for layer in layers:
            value = layer(value, training=True)
        return {**features, recipe.augmented: value}, label

    return augment


def _export(recipe: Recipe, model: keras.Model, transform: tft.TFTransformOutput, folder: str) -> None:
    """Writes both signatures of TFX's templates by ExportArchive: tf.saved_model.save fails on Keras 3 models."""
    layer, label = transform.transform_features_layer(), recipe.data.label
    spec = transform.raw_feature_spec()
    unlabelled = {name: kind for name, kind in spec.items() if name != label}

    def serving_default(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": model(layer(tf.io.parse_example(examples, unlabelled)), training=False)}

    def transform_features(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return layer(tf.io.parse_example(examples, spec))

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(layer)
    for endpoint in (serving_default, transform_features):
        archive.add_endpoint(endpoint.__name__, endpoint, [tf.TensorSpec([None], tf.string, "examples")])
    archive.write_out(folder, verbose=False)
