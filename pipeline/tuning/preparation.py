"""What trials train on: the train and eval splits and the Transform graph, from the ordinary steps and their cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import execution, fingerprint, journal, params, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.run import Request

STEPS = ("ingest", "schema", "transform")  # the ones before the training that may depend on hyperparameters
LAST = STEPS[-1]


@dataclass(frozen=True)
class Preparation:
    """Where the prepared data lie; the test split is none of a trial's business and not among them.

    Attributes:
        run_id: The run that prepared them.
        data_digest: Digest of the data set's files.
        train: Folder of the train split's TFRecords.
        eval: Folder of the eval split's.
        graph: Folder of the Transform graph.
    """

    run_id: str
    data_digest: str
    train: Path
    eval: Path
    graph: Path


def prepare(request: Request, values: Mapping[str, Any], waiting: Callable[[], None]) -> Preparation:
    """Runs the steps up to transform, or finds that they were run.

    Args:
        request: The search's request.
        values: All hyperparameters of a trial. Only those that the steps read make a difference; the others are taken
            from the recipe, so that trials and searches share what is equal.
        waiting: Called when another process is at the same steps.
    """
    shared = {name: field.default for name, field in params.fields(request.source).items()}
    read = {name for step in STEPS for name in fingerprint.read_params(request.source, step, shared)}
    wanted = replace(request, params={**shared, **{name: values[name] for name in read}}, seed=1, until=LAST)
    found = _prepared(request, execution.execute(wanted, waiting).run_id)
    if not all(path.is_dir() for path in (found.train, found.eval, found.graph)):
        run.forget(wanted)  # the record outlived its files: `keraspipe gc` lets cached steps go
        found = _prepared(request, execution.execute(wanted, waiting).run_id)
    return found


def _prepared(request: Request, run_id: str) -> Preparation:
    outputs: dict[str, Any] = {}
    digest = ""
    for event, _ in journal.read(request.settings.workspace.run(run_id).journal):
        if event["event"] == "execution":
            outputs[event["name"]] = event["outputs"]
        digest = event.get("tags", {}).get("data_digest", digest)
    examples = Path(outputs["ingest"]["examples"][0]["uri"])
    graph = Path(outputs[LAST]["transform_graph"][0]["uri"])
    return Preparation(run_id, digest, examples / "Split-train", examples / "Split-eval", graph)
