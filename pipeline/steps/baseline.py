"""Baseline: standard models of scikit-learn on the rows of the run, to show what the network is worth.

It runs after the training, which configures TensorFlow's devices before anything uses them.
"""

from pathlib import Path
from typing import Any

import numpy as np
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Examples, ModelEvaluation

from pipeline.baseline import fit, rows
from pipeline.baseline.fit import Baseline, Baselines
from pipeline.errors import describe_cause
from pipeline.recipe import Recipe
from pipeline.recipes import catalog
from pipeline.store import fileio

BASELINES_FILE, ANSWERS_FILE = "baselines.json", "answers.npz"


def fit_recipe(recipe: Recipe, folder: Path) -> Baselines:
    """Fits the standard models on a run's rows. A baseline that fails is said, and ends no run.

    Args:
        recipe: The recipe.
        folder: Folder of the splits.
    """
    if not fit.is_supervised(recipe):
        return Baselines(note="none: the network does not predict the label")
    try:
        return fit.fit_baselines(recipe, rows.read_splits(folder, recipe.data.inputs))
    except Exception as error:  # noqa: BLE001  (a comparison is no reason to lose a trained network)
        return Baselines(note=f"none: it failed, {describe_cause(error)}")


def save_baselines(baselines: Baselines, folder: Path) -> None:
    """Writes the results, and the answers of each model."""
    models = [{key: value for key, value in vars(model).items() if key != "answers"} for model in baselines.models]
    with fileio.replace_file(folder / ANSWERS_FILE) as temporary, temporary.open("wb") as file:
        np.savez(file, *(model.answers for model in baselines.models))
    fileio.write_json(folder / BASELINES_FILE, {"models": models, "note": baselines.note})


def load_baselines(folder: Path) -> Baselines:
    """Reads what `save_baselines` wrote."""
    content: dict[str, Any] = fileio.read_json(folder / BASELINES_FILE)
    with np.load(folder / ANSWERS_FILE, allow_pickle=False) as arrays:
        answers = [arrays[f"arr_{place}"] for place in range(len(content["models"]))]
    models = [Baseline(**model, answers=array) for model, array in zip(content["models"], answers, strict=True)]
    return Baselines(models, content["note"])


@component
def FitBaselines(  # noqa: N802
    examples: InputArtifact[Examples],
    baselines: OutputArtifact[ModelEvaluation],
    recipe: Parameter[str],
    digest: Parameter[str],  # noqa: ARG001  (the recipe's data and metrics, for TFX's cache)
) -> None:
    """Writes the results of the standard models, and their answers for the test split."""
    save_baselines(fit_recipe(catalog.load_recipe(Path(recipe)), Path(examples.uri)), Path(baselines.uri))
