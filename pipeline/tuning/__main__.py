"""The process that trains trials: `python -m pipeline.tuning`, driven by `pipeline.tuning.worker`.

A line of JSON on stdin is a task: {"recipe", "text", "params", "metrics", "costs", "train", "eval", "graph", "out",
"config"}: the recipe's file and its text at the start of the search, names of what it improves (`objectives.py`),
folders, settings of the training. After every epoch a
line {"epoch", "metrics"} goes out on stdout, and `true` or `false` comes back; the last line of a task has a "state".
What libraries print goes to stderr. A Keras callback reports the epochs, and ends a trial that the search prunes.
"""

from __future__ import annotations

import ast
import json
import math
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import keras

from pipeline import subprocesses
from pipeline.console import exit_now
from pipeline.errors import PipelineError, did_you_mean
from pipeline.recipes import catalog
from pipeline.recipes.catalog import RecipeSource
from pipeline.tuning.objectives import UnknownObjectiveError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.recipe import Recipe

SELECTION_METRIC = "val_loss"  # a training keeps the weights of its best epoch


def main() -> None:
    """Trains trials until stdin is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the search, which then closes our stdin
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in iter(sys.stdin.readline, ""):
        _send(channel, run_trial(json.loads(line), lambda epoch, metrics: _report_epoch(channel, epoch, metrics)))


def _send(channel: TextIO, value: Any) -> None:
    print(json.dumps(value), file=channel, flush=True)


def _report_epoch(channel: TextIO, epoch: int, metrics: dict[str, float]) -> bool:
    _send(channel, {"epoch": epoch, "metrics": metrics})
    answer = sys.stdin.readline()
    if not answer:
        exit_now(1)  # the search process has ended
    return bool(json.loads(answer))


def run_trial(task: dict[str, Any], report: Callable[[int, dict[str, float]], bool]) -> dict[str, Any]:
    """Trains one trial and returns its result; any failure ends only this trial."""
    reporter = Reporter(task["metrics"], report)
    try:
        costs = _train(task, reporter)
        return {"state": "complete", "values": {**reporter.values(), **costs}, "epochs": reporter.epochs}
    except PrunedError:
        return {"state": "pruned"}
    except UnknownObjectiveError as error:
        return {"state": "refused", "reason": str(error)}
    except PipelineError as error:
        return {"state": "failed", "reason": str(error)}
    except Exception as error:  # noqa: BLE001  (out of memory, a shape that cannot be, a fault of the recipe)
        return {"state": "failed", "reason": f"{type(error).__name__}: {error}"}


def _train(task: dict[str, Any], reporter: Any) -> dict[str, float]:
    """Trains like the Trainer (`run_fn`), and returns the costs of the network; exports only to measure them."""
    import tensorflow_transform as tft

    from pipeline.recipe import restore_params
    from pipeline.training import devices, input_pipeline, trainer

    subprocesses.configure_tensorflow(deterministic=task["config"]["deterministic"])
    devices.configure(task["config"])
    recipe = catalog.pin_recipe(_make_source(Path(task["recipe"]), task["text"]))
    p = type(recipe.params)(**restore_params(task["params"]))
    graph = tft.TFTransformOutput(task["graph"])
    transform = graph.transform_features_layer()
    rows, evaluation = (
        input_pipeline.load_rows([f"{task[split]}/*"], graph.raw_feature_spec(), transform, recipe)
        for split in ("train", "eval")
    )
    words = trainer.read_vocabularies(graph)
    model = trainer.fit_recipe(recipe, p, rows, evaluation, task["config"], Path(task["out"]), words, [reporter])
    return _measure_costs(task, recipe, model, graph, transform) if task["costs"] else {}


def _measure_costs(task: dict[str, Any], recipe: Recipe, model: keras.Model, graph: Any, transform: Any) -> Any:
    from pipeline.export import saved_model, signatures
    from pipeline.training import trainer
    from pipeline.tuning import costs

    _, inputs = saved_model.read_raw_rows([f"{task['eval']}/*"], recipe, trainer.CHECK_ROWS)
    served = signatures.ServingModel(recipe, model, transform, graph.raw_feature_spec(), inputs)
    return costs.measure_costs(task["costs"], served, inputs, Path(task["config"]["checkpoints"]) / "export")


def _make_source(path: Path, text: str) -> RecipeSource:
    return RecipeSource(path.stem, path, text, ast.parse(text), {})


class PrunedError(Exception):
    """The search has pruned the trial."""


class Reporter(keras.callbacks.Callback):
    """Reports each epoch, and computes the objectives of the restored weights.

    Args:
        wanted: Names of the metrics that the search improves.
        report: (epoch, metrics) -> whether to continue; the first epoch is 1.
    """

    def __init__(self, wanted: Sequence[str], report: Callable[[int, dict[str, float]], bool]) -> None:
        super().__init__()
        self.wanted = wanted
        self.report = report
        self.epochs = 0
        self._fit: list[dict[str, float]] = []  # metrics by epoch of the last fit; a recipe with fine-tuning fits twice

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Clears the metrics of an earlier fit, because the weights come from this one."""
        self._fit = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Reports the epoch.

        Raises:
            PrunedError: The trial is pruned.
            UnknownObjectiveError: There is no such metric.
        """
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        for name in (*self.wanted, SELECTION_METRIC):
            if name not in metrics:
                raise _unknown_objective(name, [metric for metric in metrics if metric.startswith("val_")])
        self._fit.append(metrics)
        self.epochs = epoch + 1
        if not self.report(self.epochs, metrics):
            raise PrunedError

    def values(self) -> dict[str, float]:
        """Returns the objectives of the restored weights by name.

        Raises:
            PipelineError: One is not a number.
        """
        epoch = min(self._fit, key=lambda metrics: metrics[SELECTION_METRIC])
        for name in self.wanted:
            if not math.isfinite(epoch[name]):
                raise PipelineError(f"{name} is not a number.", received=epoch[name])
        return {name: epoch[name] for name in self.wanted}


def _unknown_objective(name: str, known: list[str]) -> UnknownObjectiveError:
    hint = did_you_mean(name, known)
    return UnknownObjectiveError(
        f"The network has no metric {name!r}.",
        expected=f"an objective that is one of {', '.join(known) or 'none'}",
        received=name,
        action=hint or "correct --objective or --objectives, or add the metric to compile() in the recipe",
    )


if __name__ == "__main__":
    main()
    exit_now(0)
