"""Train: what TFX's Trainer calls. Builds the recipe's network, fits it, exports it, and checks the export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import atomic, catalogue, journal
from pipeline.errors import PipelineError
from pipeline.recipe import Spec
from pipeline.steps.transform import restored

if TYPE_CHECKING:
    import keras
    from tfx.components.trainer.fn_args_utils import FnArgs

    from pipeline.recipe import Recipe
    from pipeline.training.batches import Rows

HISTORY = "history.json"
MODEL = "model.json"
CHECKED_ROWS = 64
VALIDATION_BATCH = 512


def run_fn(args: FnArgs) -> None:
    """Trains and exports; `custom_config` holds the recipe, its hyperparameters and the settings of the run."""
    import tensorflow_transform as tft

    from pipeline.training import batches, devices

    config = args.custom_config
    devices.prepare(config)
    recipe = catalogue.load(Path(config["recipe"]))
    p = type(recipe.params)(**restored(config["params"]))
    graph = tft.TFTransformOutput(args.transform_graph_path)
    transform = graph.transform_features_layer()
    spec = graph.raw_feature_spec()
    train, evaluation = (
        batches.load(files, spec, transform, recipe.data.label) for files in (args.train_files, args.eval_files)
    )
    model = fit(recipe, p, train, evaluation, config, Path(args.model_run_dir))
    _export(recipe, model, transform, spec, args)


def fit(recipe: Recipe, p: Any, train: Rows, evaluation: Rows, config: dict[str, Any], out: Path) -> keras.Model:
    """Fits the recipe's network, going on from its checkpoint where there is one."""
    import keras

    from pipeline.training import batches, devices
    from pipeline.training.checkpoint import Checkpoint
    from pipeline.training.curves import diagnose
    from pipeline.training.progress import Progress

    batch_size = min(p.batch_size, train.count)
    steps = train.count // batch_size
    strategy = devices.strategy(config["distribution"])
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=p.patience, restore_best_weights=True)
    checkpoint = Checkpoint(Path(config["checkpoints"]), stopping)
    with strategy.scope():
        model = build(recipe, p, spec_of(recipe, train, steps * p.epochs))
        first = checkpoint.restore(model)
    journal.report(
        "training",
        epochs=p.epochs,
        steps_per_epoch=steps,
        first_epoch=first + 1,
        distribution=type(strategy).__name__,
        precision=config["mixed_precision"],
    )
    target = targets(model, len(recipe.data.classes))
    model.fit(
        batches.training(train, batch_size, config["seed"] + first, augmentation(recipe, p)).map(target),
        validation_data=batches.validation(evaluation, VALIDATION_BATCH).map(target),
        initial_epoch=p.epochs if checkpoint.finished else first,
        epochs=p.epochs,
        callbacks=[stopping, checkpoint, Progress(steps * batch_size)],
        shuffle=False,  # the data set shuffles itself
        verbose=0,
    )
    words = diagnose(checkpoint.history, stopped_early=len(next(iter(checkpoint.history.values()), [])) < p.epochs)
    out.mkdir(parents=True, exist_ok=True)
    atomic.write_json(out / HISTORY, {"history": checkpoint.history, "diagnosis": words})
    return model


def spec_of(recipe: Recipe, rows: Rows, steps: int) -> Spec:
    """What `build` learns of the data."""
    features, _ = rows.dataset.element_spec
    shapes = {name: (tuple(spec.shape), spec.dtype.name) for name, spec in features.items()}
    return Spec(shapes, tuple(recipe.data.classes), steps)


def build(recipe: Recipe, p: Any, spec: Spec) -> keras.Model:
    """Builds the network and asks it once, so that a misfit is found before training.

    Raises:
        PipelineError: `build` fails, or the model does not fit the features or the classes.
    """
    import keras
    import numpy as np

    try:
        model = recipe.build(p, spec)
        batch = {name: np.zeros((2, *shape), dtype) for name, (shape, dtype) in spec.features.items()}
        answer = tuple(model(batch, training=False).shape)
    except PipelineError:
        raise
    except Exception as error:
        raise PipelineError(
            "The model cannot be built on its features.",
            expected="build(p, spec) that takes "
            + ", ".join(f"{n} {s} {d}" for n, (s, d) in spec.features.items())
            + (f" and gives {len(spec.classes)} probabilities" if spec.classes else ""),
            received=f"{type(error).__name__}: {error}",
            action="correct build() in the recipe, or a hyperparameter",
        ) from error
    if spec.classes and answer[-1] != len(spec.classes):
        raise PipelineError(
            "The model does not fit its classes.", expected=f"(batch, {len(spec.classes)})", received=answer
        )
    assert isinstance(model, keras.Model)
    return model


def targets(model: keras.Model, classes: int) -> Any:
    """A map over (features, label) batches that gives the loss what it wants: class numbers, or one-hot vectors."""
    import tensorflow as tf

    loss = model.loss if isinstance(model.loss, str) else getattr(model.loss, "name", type(model.loss).__name__)
    if not classes or "sparse" in str(loss).lower():
        return lambda features, label: (features, label)
    return lambda features, label: (features, tf.one_hot(label, classes))


def augmentation(recipe: Recipe, p: Any) -> Any:
    """A map over (features, label) batches, or None if the recipe augments nothing."""
    layers = recipe.augment(p)
    if not layers:
        return None

    def augment(features: dict[str, Any], label: Any) -> tuple[dict[str, Any], Any]:
        value = features[recipe.augmented]
        for layer in layers:
            value = layer(value, training=True)
        return {**features, recipe.augmented: value}, label

    return augment


def _export(recipe: Recipe, model: keras.Model, transform: Any, spec: dict[str, Any], args: FnArgs) -> None:
    from pipeline.training import export
    from serving.model import LoadedModel

    served = export.Served(recipe, model, transform, spec)
    folder = Path(args.serving_model_dir)
    export.export(served, folder)
    examples, inputs = export.raw_rows(args.eval_files, served, CHECKED_ROWS)
    export.write_warm_up(folder, Path(args.custom_config["recipe"]).stem, inputs)
    loaded = LoadedModel(folder)
    worst = export.require_same_answers(served, loaded, examples, inputs)
    signatures = export.described(loaded.signatures)
    out = {"weights": model.count_params(), "export_difference": worst, "signatures": signatures}
    atomic.write_json(Path(args.model_run_dir) / MODEL, out)
