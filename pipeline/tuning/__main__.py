"""The process that trains trials: `python -m pipeline.tuning`, spoken to by `pipeline.tuning.worker`.

A line of JSON on stdin is a task: {"recipe", "text", "params", "objective", "train", "eval", "graph", "out", "config"}:
the recipe's file and its text as it was when the search began, folders, settings of the training. After every epoch a
line {"epoch", "metrics"} goes out on stdout, and `true` or `false` comes back; the last line of a task has a "state".
What libraries print goes to stderr.
"""

from __future__ import annotations

import ast
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pipeline import catalogue
from pipeline.catalogue import Source
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Trains until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the search, whose end closes our stdin
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in iter(sys.stdin.readline, ""):
        _say(channel, answered(json.loads(line), lambda epoch, metrics: _ask(channel, epoch, metrics)))


def _say(channel: TextIO, value: Any) -> None:
    print(json.dumps(value), file=channel, flush=True)


def _ask(channel: TextIO, epoch: int, metrics: dict[str, float]) -> bool:
    _say(channel, {"epoch": epoch, "metrics": metrics})
    answer = sys.stdin.readline()
    if not answer:
        os._exit(1)  # the search is gone
    return bool(json.loads(answer))


def answered(task: dict[str, Any], report: Callable[[int, dict[str, float]], bool]) -> dict[str, Any]:
    """Trains one trial and says what came of it; whatever it fails of is its own end only."""
    from pipeline.tuning.reporter import PrunedError, Reporter, UnknownObjectiveError

    reporter = Reporter(task["objective"], report)
    try:
        _train(task, reporter)
        return {"state": "complete", "value": reporter.value(), "epochs": reporter.epochs}
    except PrunedError:
        return {"state": "pruned"}
    except UnknownObjectiveError as error:
        return {"state": "refused", "reason": str(error)}
    except PipelineError as error:
        return {"state": "failed", "reason": str(error)}
    except Exception as error:  # noqa: BLE001  (out of memory, a shape that cannot be, a fault of the recipe)
        return {"state": "failed", "reason": f"{type(error).__name__}: {error}"}


def _train(task: dict[str, Any], reporter: Any) -> None:
    """As the Trainer does, without export: `pipeline.steps.train.run_fn`."""
    import tensorflow_transform as tft

    from pipeline.recipe import restore_params
    from pipeline.steps import train
    from pipeline.training import batches, devices

    devices.prepare(task["config"])
    recipe = catalogue.pin(_source(Path(task["recipe"]), task["text"]))
    p = type(recipe.params)(**restore_params(task["params"]))
    graph = tft.TFTransformOutput(task["graph"])
    transform = graph.transform_features_layer()
    rows, evaluation = (
        batches.load([f"{task[split]}/*"], graph.raw_feature_spec(), transform, recipe.data.label)
        for split in ("train", "eval")
    )
    words = train.vocabularies(graph)
    train.fit(recipe, p, rows, evaluation, task["config"], Path(task["out"]), words, [reporter])


def _source(path: Path, text: str) -> Source:
    return Source(path.stem, path, text, ast.parse(text), {})


if __name__ == "__main__":
    main()
    sys.stderr.flush()
    os._exit(0)  # TensorFlow takes seconds to take itself apart
