"""Judge: the numbers that TFMA does not know, and the answers of the candidate and the live model, row by row.

TFMA goes row by row over labelled predictions and forgets them; it cannot hold forecasts against a naive one, look at
samples of a generative model, or compare two models on the same rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Examples, Model, ModelEvaluation
from tfx.utils.path_utils import serving_model_dir

from pipeline import atomic, catalogue, champion, samples
from pipeline.datasets import kind, tfrecord
from pipeline.errors import PipelineError
from pipeline.judging import latency, predictions, reconstructions
from pipeline.recipe import Recipe
from pipeline.verdict import Measured
from pipeline.workspace import Workspace
from serving.model import LoadedModel

FILE = "judged.json"
SHOWN = "shown.json"  # samples and reconstructions


@dataclass(frozen=True)
class Splits:
    """The raw features of the splits, read when they are asked for; eval is not among them.

    Attributes:
        folder: Folder of the splits.
        kinds: Kind of each raw input.
    """

    folder: Path
    kinds: Mapping[str, str]

    @cached_property
    def train(self) -> dict[str, np.ndarray]:
        """The training split, {name: array (rows, …)}."""
        return columns(self.folder / "Split-train", self.kinds)

    @cached_property
    def test(self) -> dict[str, np.ndarray]:
        """The test split, {name: array (rows, …)}."""
        return columns(self.folder / "Split-test", self.kinds)


def columns(folder: Path, kinds: Mapping[str, str]) -> dict[str, np.ndarray]:
    """All rows of a split as arrays by name; what is missing is as in `preprocess`.

    Args:
        folder: Folder of TFRecords of `tf.train.Example`.
        kinds: Kind of each raw input; the other features are single values or vectors as they were found.
    """
    rows = [tfrecord.features(record) for file in sorted(folder.iterdir()) for record in tfrecord.records(file)]
    names = sorted({name for row in rows for name in row})
    return {name: _column([row.get(name) for row in rows], kinds.get(name, "")) for name in names}


def _column(cells: list[Any], declared: str) -> np.ndarray:
    found = np.ravel(next((cell for cell in cells if cell is not None), 0.0)).tolist()
    guessed = "bytes" if isinstance(found[0], bytes) else "int" if isinstance(found[0], int) else "float"
    name, shape = kind.split(declared) if declared else (guessed, (len(found),) * (len(found) > 1))
    dtype = {"bytes": object, "int": np.int64, "float": np.float32}[name]
    return np.array([kind.MISSING[name] if cell is None else cell for cell in cells], dtype).reshape(len(cells), *shape)


def numbers(recipe: Recipe, served: LoadedModel, splits: Splits, others: Mapping[str, LoadedModel]) -> dict[str, float]:
    """Asks the recipe's `judge` about a SavedModel.

    Raises:
        PipelineError: It fails, or does not give the metrics that the recipe declares.
    """
    declared = {metric.name for metric in recipe.metrics if not metric.tfma}
    if not recipe.judge:
        return {}
    try:
        found = {name: float(value) for name, value in recipe.judge(served, splits, others).items()}
    except PipelineError:
        raise
    except Exception as error:
        raise PipelineError(
            "judge() of the recipe fails.",
            expected=f"judge(served, examples, others) -> {', '.join(sorted(declared))}",
            received=f"{type(error).__name__}: {error}",
            action="correct judge() in the recipe",
        ) from error
    if found.keys() != declared:
        raise PipelineError(
            "judge() of the recipe does not give the metrics that it declares.",
            expected=", ".join(sorted(declared)) or 'Metric("…") without tfma= in metrics=',
            received=", ".join(sorted(found)) or "none",
            action="name the same in metrics= and in what judge() returns",
        )
    return found


def one_row(recipe: Recipe, served: LoadedModel, folder: Path) -> dict[str, np.ndarray]:
    """What `serving_default` is asked with: the first row of a split; zeros where its inputs are not the raw ones."""
    from pipeline.training import export

    (record,) = next(predictions.batches(folder, 1))
    row = tfrecord.features(record)
    return export.requests(
        served, {name: _column([row.get(name)], kinds) for name, kinds in recipe.data.inputs.items()}
    )


def size_mb(folder: Path) -> float:
    """Size of a SavedModel's files, in millions of bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def merged(measured: Measured, folder: Path) -> Measured:
    """Numbers of TFMA and of the recipe's own judge, and what the model costs."""
    found = atomic.read_json(folder / FILE)
    return replace(
        measured,
        metrics={**measured.metrics, **found["candidate"]},
        baseline={**(measured.baseline or {}), **(found["baseline"] or {})} or None,
        latency_ms=found["latency_ms"]["p50"],
        size_mb=found["size_mb"],
    )


def needed(recipe: Recipe, workspace: Workspace) -> dict[str, Path]:
    """The live models of the recipes that a recipe needs, by name.

    Raises:
        PipelineError: One of them has none.
    """
    found = {name: champion.read(workspace, name) for name in recipe.needs}
    absent = [name for name, live in found.items() if live is None]
    if absent:
        raise PipelineError(
            f"The recipe needs the live model of {' and '.join(absent)}.",
            expected="a published model of each recipe in needs=",
            received=f"none in {workspace}",
            action=f"run first: keraspipe run {absent[0]}",
        )
    return {name: workspace.model(name, live.version) for name, live in found.items() if live}


@component
def Judge(  # noqa: N802
    examples: InputArtifact[Examples],
    model: InputArtifact[Model],
    baseline: InputArtifact[Model],
    evaluation: InputArtifact[ModelEvaluation],  # noqa: ARG001  (lineage: the verdict is over both)
    judgement: OutputArtifact[ModelEvaluation],
    recipe: Parameter[str],
    workspace: Parameter[str],
    digest: Parameter[str],  # noqa: ARG001  (the recipe's judge and the models that it needs, for TFX's cache)
) -> None:
    """Writes the numbers and the answers of the candidate and of the live model, and what the candidate costs."""
    declared, folder, out = catalogue.load(Path(recipe)), Path(examples.uri), Path(judgement.uri)
    splits = Splits(folder, declared.data.inputs)
    others = {name: LoadedModel(path) for name, path in needed(declared, Workspace(Path(workspace))).items()}
    candidate = LoadedModel(serving_model_dir(model.uri))
    live = LoadedModel(serving_model_dir(baseline.uri)) if any(Path(baseline.uri).glob("*")) else None
    test = folder / "Split-test"
    request = one_row(declared, candidate, test)
    found = {
        "candidate": numbers(declared, candidate, splits, others),
        "baseline": numbers(declared, live, splits, others) if live else None,
        "latency_ms": latency.measured(lambda: candidate.predict("serving_default", request)),
        "size_mb": size_mb(candidate.path),
    }
    predictions.collected(declared, test, candidate, live).save(out / predictions.FILE)
    shown = {
        "samples": samples.asked(candidate, test, declared.data),
        "reconstructions": reconstructions.asked(candidate, test),
    }
    atomic.write_json(out / SHOWN, shown)
    atomic.write_json(out / FILE, found)
