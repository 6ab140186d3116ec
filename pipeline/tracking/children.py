"""The child runs of a run in MLflow, each made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.tracking.destination import Destination
    from pipeline.tracking.state import State

PARENT_TAG = "mlflow.parentRunId"


def child(destination: Destination, state: State, name: str, tag: Mapping[str, str], seconds: float) -> str:
    """The id of a child run, also of one made just before a crash; makes it where there is none.

    Args:
        destination: The MLflow to write to.
        state: Holds the ids of the parent and of the children that are known.
        name: Of the child, among its siblings.
        tag: By which it is found again.
        seconds: When it began, since 1970.
    """
    known = state.children.get(name)
    if known is None:
        tags = {PARENT_TAG: state.mlflow_run_id, **tag}
        known = destination.run(state.experiment_id, tags)
        if not known:
            tags["mlflow.source.name"] = name
            made = destination.client.create_run(state.experiment_id, int(seconds * 1000), tags, name)
            known = made.info.run_id
        state.children[name] = known
    return known
