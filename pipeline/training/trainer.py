"""Trains a recipe: builds its network, fits it, exports it, and checks that the export gives the same answers."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, describe_cause
from pipeline.recipe import Spec, restore_params
from pipeline.recipes import catalog
from pipeline.store import fileio
from pipeline.training.files import HISTORY, MODEL
from pipeline.training.fit import Training
from pipeline.training.loop import TrainingData, TrainingLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import keras
    from tfx.components.trainer.fn_args_utils import FnArgs

    from pipeline.recipe import Recipe
    from pipeline.training.collective import Workers
    from pipeline.training.input_pipeline import Rows


CHECK_ROWS = 64
LABEL_MIXING_LAYERS = {"MixUp", "CutMix"}  # Keras layers that mix the labels as they mix the images


def run_training(args: FnArgs, join: Callable[[], Workers] | None = None) -> None:
    """Trains and exports in this process; `join` makes it one of several nodes, of which the first exports."""
    import tensorflow_transform as tft

    from pipeline.training import devices, input_pipeline

    config = args.custom_config
    devices.configure(config)
    nodes = join() if join else None
    recipe = catalog.load_recipe(Path(config["recipe"]))
    p = type(recipe.params)(**restore_params(config["params"]))
    if p.epochs < 1:
        raise PipelineError(
            "The network would not be trained.",
            expected="at least one epoch",
            received=f"epochs = {p.epochs}",
            action="correct epochs in the recipe",
        )
    graph = tft.TFTransformOutput(args.transform_graph_path)
    transform = graph.transform_features_layer()
    spec = graph.raw_feature_spec()
    rows, evaluation = (
        input_pipeline.load_rows(files, spec, transform, recipe) for files in (args.train_files, args.eval_files)
    )
    out = Path(args.model_run_dir)
    model = fit_recipe(recipe, p, rows, evaluation, config, out, read_vocabularies(graph), nodes=nodes)
    if nodes is None or nodes.index == 0:
        _export_model(recipe, p, model, transform, spec, args)


def fit_recipe(
    recipe: Recipe,
    p: Any,
    train: Rows,
    evaluation: Rows,
    config: dict[str, Any],
    out: Path,
    vocabulary: Mapping[str, tuple[bytes, ...]],
    callbacks: Sequence[keras.callbacks.Callback] = (),
    nodes: Workers | None = None,
) -> keras.Model:
    """Fits the recipe's network, from its checkpoint if there is one; `callbacks` are added to our own.

    Each of several `nodes` trains on its share of each batch; the first writes the files.
    """
    from pipeline.training import augmentation_preview, devices, finite, input_pipeline
    from pipeline.training.callbacks.samples import make_watch
    from pipeline.training.collective import SingleWorker

    nodes = nodes or SingleWorker()
    strategy = devices.make_strategy(config["distribution"])
    batch_size = nodes.batch_size(min(p.batch_size, train.count))
    share, part = nodes.share(train), batch_size // nodes.count
    steps = train.count // nodes.count // part  # a share may have a row more than another, and a batch more
    spec = make_spec(recipe, train, steps * p.epochs, vocabulary)
    with strategy.scope():
        model = build_model(recipe, p, spec)
    finite.require_finite(model, train)
    target, augment = target_map(model, len(recipe.data.classes)), augmentation_map(recipe, p)
    if nodes.index == 0:
        out.mkdir(parents=True, exist_ok=True)
        augmentation_preview.write_preview(out, train, target, augment, recipe.augmented, recipe.data.classes)
    together = input_pipeline.rows_at_once(input_pipeline.count_numbers(train), batch_size)
    training = Training(
        model=model,
        train=lambda epoch: input_pipeline.training_batches(share, part, config["seed"] + epoch, target, augment).take(
            steps
        ),
        evaluation=input_pipeline.validation_batches(evaluation, together).map(target),
        folder=Path(config["checkpoints"]),
        patience=p.patience,
        steps=steps,
        batch_size=batch_size,
        strategy=strategy,
        precision=config["mixed_precision"],
        class_weight=class_weights(train, len(recipe.data.classes), getattr(p, "class_weight", 0.0)),
        callbacks=tuple(callbacks),
        nodes=nodes,
        sides=recipe.sides,
        samples=make_watch(recipe, train, evaluation, Path(config["checkpoints"]), out) if nodes.count == 1 else None,
        loop=_make_loop(recipe, p, spec, share, config["seed"]),
    )
    history = _fit_and_tune(recipe, p, training, spec)
    if nodes.index == 0:
        fileio.write_json(out / HISTORY, history)
        if recipe.finish:
            recipe.finish(model, input_pipeline.validation_batches(train, together))
    return model


def _fit_and_tune(recipe: Recipe, p: Any, training: Training, spec: Spec) -> dict[str, Any]:
    """Fits, and again if the recipe fine-tunes; returns the history of both and the diagnosis."""
    from pipeline.training.callbacks.alarms import stop_reason
    from pipeline.training.fit import diagnose

    first = training.fit(p.epochs)
    history, alarms = first.history, [first.alarm]
    epochs = len(next(iter(history.values()), []))
    words = diagnose(history, stopped_early=epochs < p.epochs)
    if recipe.fine_tune:
        with training.strategy.scope():
            recipe.fine_tune(training.model, p, replace(spec, steps=training.steps * p.fine_tune_epochs))
        second = replace(training, folder=training.folder / "fine-tune").fit(epochs + p.fine_tune_epochs, begin=epochs)
        history = {name: [*values, *second.history.get(name, [])] for name, values in history.items()}
        alarms.append(second.alarm)
    return {"history": history, "diagnosis": " ".join(filter(None, (stop_reason(alarms), words, *first.notes)))}


def _make_loop(recipe: Recipe, p: Any, spec: Spec, rows: Rows, seed: int) -> Callable[[Training, Any], None] | None:
    """Returns the recipe's own training; None where it is one `fit`."""
    train = recipe.train
    if train is None:
        return None

    def loop(training: Training, checkpoint: TrainingLoop) -> None:
        sizes = training.steps, training.batch_size, seed
        train(training.model, TrainingData(rows, training.train, training.evaluation, *sizes), p, spec, checkpoint)

    return loop


def read_vocabularies(graph: Any) -> dict[str, tuple[bytes, ...]]:
    """Returns the entries of each vocabulary of a Transform graph, by the name of its file."""
    assets = Path(graph.transform_savedmodel_dir) / "assets"
    return {path.name: tuple(graph.vocabulary_by_name(path.name)) for path in sorted(assets.glob("*"))}


def class_weights(train: Rows, classes: int, power: float) -> dict[int, float] | None:
    """Returns each class's weight in the loss: its inverse frequency to a power, with mean 1 over all rows."""
    import numpy as np

    if not power or not classes:
        return None
    counts = np.bincount([int(label) for _, label in train.dataset.as_numpy_iterator()], minlength=classes)
    raw = (counts.sum() / np.maximum(counts, 1)) ** power
    return dict(enumerate((raw * counts.sum() / (raw * counts).sum()).tolist()))


def make_spec(recipe: Recipe, rows: Rows, steps: int, vocabulary: Mapping[str, tuple[bytes, ...]]) -> Spec:
    """Returns the facts about the data that `build` gets."""
    features, _ = rows.dataset.element_spec
    shapes = {name: (tuple(spec.shape), spec.dtype.name) for name, spec in features.items()}
    sizes = {name: len(entries) for name, entries in vocabulary.items()}
    return Spec(shapes, tuple(recipe.data.classes), steps, sizes, vocabulary, rows.tables)


def build_model(recipe: Recipe, p: Any, spec: Spec) -> keras.Model:
    """Builds the network and calls it once, so that errors appear before the training.

    Raises:
        PipelineError: `build` fails, or the model does not fit the features or the classes.
    """
    import keras
    import numpy as np

    try:
        model = recipe.build(p, spec)
        batch = {name: np.zeros((2, *shape), dtype) for name, (shape, dtype) in spec.features.items()}
        answer = model(batch, training=False)
    except PipelineError:
        raise
    except Exception as error:
        raise PipelineError(
            "The model cannot be built on its features.",
            expected="build(p, spec) that takes "
            + ", ".join(f"{n} {s} {d}" for n, (s, d) in spec.features.items())
            + (f" and gives {len(spec.classes)} probabilities" if spec.classes else ""),
            received=describe_cause(error),
            action="correct build() in the recipe, or a hyperparameter",
        ) from error
    shape = tuple(getattr(answer, "shape", ()))  # a recipe with `outputs` may return several
    if spec.classes and not recipe.outputs and shape[-1:] != (len(spec.classes),):
        raise PipelineError(
            "The model does not fit its classes.",
            expected=f"(batch, {len(spec.classes)})",
            received=shape,
            action="give the last layer of build() one unit per class",
        )
    assert isinstance(model, keras.Model)
    return model


def target_map(model: keras.Model, classes: int) -> Any:
    """Returns a map over (features, label) batches to the target of the loss: class numbers or one-hot vectors."""
    import tensorflow as tf

    loss = model.loss if isinstance(model.loss, str) else getattr(model.loss, "name", type(model.loss).__name__)
    if not classes or "sparse" in str(loss).lower():
        return lambda features, label: (features, label)
    return lambda features, label: (features, tf.one_hot(label, classes))


def augmentation_map(recipe: Recipe, p: Any) -> Any:
    """Returns a map over (features, target) batches; None if the recipe augments nothing."""
    layers = recipe.augment(p)
    if not layers:
        return None
    if not recipe.augmented:
        return lambda features, target: functools.reduce(
            lambda pair, layer: layer(pair, training=True), layers, (features, target)
        )

    def augment(features: dict[str, Any], target: Any) -> tuple[dict[str, Any], Any]:
        value = features[recipe.augmented]
        for layer in layers:
            if type(layer).__name__ in LABEL_MIXING_LAYERS:
                mixed = layer({"images": value, "labels": target}, training=True)
                value, target = mixed["images"], mixed["labels"]
            else:
                value = layer(value, training=True)
        return {**features, recipe.augmented: value}, target

    return augment


def _export_model(
    recipe: Recipe, p: Any, model: keras.Model, transform: Any, spec: dict[str, Any], args: FnArgs
) -> None:
    import tensorflow as tf

    from pipeline.export import columns, forecast, saved_model, signatures
    from pipeline.training import devices, input_pipeline
    from serving.core.model import LoadedModel

    examples, inputs = saved_model.read_raw_rows(args.eval_files, recipe, CHECK_ROWS)
    served = signatures.ServingModel(recipe, model, transform, spec, inputs, p)
    folder = Path(args.serving_model_dir)
    saved_model.export_model(served, folder)
    loaded = LoadedModel(folder)
    saved_model.write_warm_up(folder, Path(args.custom_config["recipe"]).stem, signatures.make_warm_up(loaded, inputs))
    fileio.write_json(folder / columns.COLUMNS_FILE, columns.describe_columns(recipe.data, inputs))
    if (layout := forecast.describe_columns(recipe.data)) is not None:
        fileio.write_json(folder / columns.FORECAST_FILE, layout)
    for name, content in (recipe.assets(served) if recipe.assets else {}).items():
        with fileio.replace_file(folder / "assets.extra" / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    row = served.features({name: value[:1] for name, value in inputs.items()})
    operations = devices.count_flops(model, row)
    together = input_pipeline.rows_at_once(sum(int(tf.size(value)) for value in tf.nest.flatten(row)), 1)
    worst = saved_model.require_same_answers(served, loaded, examples, inputs, together)
    signature_facts = signatures.signatures_to_dict(loaded.signatures)
    out = {
        "weights": model.count_params(),
        "flops": operations,
        "export_difference": worst,
        "signatures": signature_facts,
    }
    fileio.write_json(Path(args.model_run_dir) / MODEL, out)
