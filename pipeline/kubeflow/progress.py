"""What the tasks of one run know of each other: the runner's state, kept beside the run's journal."""

from __future__ import annotations

import json
from dataclasses import asdict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pipeline import atomic, catalogue, dag, run
from pipeline.runner import State

if TYPE_CHECKING:
    from pipeline.run import Request
    from pipeline.settings import Settings

CARRIED = ("data", "judged_against", "model", "is_live", "is_judged")


def request(text: str, settings: Settings) -> Request:
    """The request that `keraspipe compile` has written into the task."""
    found = json.loads(text)
    params = {name: tuple(value) if isinstance(value, list) else value for name, value in found["params"].items()}
    source = catalogue.source(found["name"], settings)
    return run.Request(source, settings, params, quick=found["quick"], seed=found["seed"], alias=found["alias"])


def state(wanted: Request, run_id: str) -> State:
    """The state as the last task has left it; a new one for the first."""
    recipe, kept = catalogue.pin(wanted.source), atomic.read_json(wanted.settings.workspace.run(run_id).kubeflow_state)
    files = recipe.data.files(wanted.settings.data)
    if kept is None:
        data = run.data_digest(wanted, files)
        return State(wanted, recipe, run.Result(run_id, wanted.name), files, data, dag.digests(wanted, recipe, data))
    digests, result = dag.Digests(**kept["digests"]), run.Result(**kept["result"])
    found = State(wanted, recipe, result, files, digests=digests, **{name: kept[name] for name in CARRIED})
    for step, outputs in kept["artifacts"].items():
        remember(found, step, outputs)
    return found


def remember(found: State, step: str, outputs: dict[str, str]) -> None:
    """Notes where a step's outputs lie."""
    found.artifacts[step] = {name: SimpleNamespace(uri=path) for name, path in outputs.items()}


def keep(found: State) -> None:
    """Leaves the state to the next task, and the result to `keraspipe runs`."""
    artifacts = {step: {name: one.uri for name, one in outputs.items()} for step, outputs in found.artifacts.items()}
    kept: dict[str, Any] = {name: getattr(found, name) for name in CARRIED}
    kept |= {"digests": asdict(found.digests), "result": found.result.as_json(), "artifacts": artifacts}
    folder = found.request.settings.workspace.run(found.result.run_id)
    atomic.write_json(folder.kubeflow_state, kept)
    atomic.write_json(folder.result, kept["result"])
