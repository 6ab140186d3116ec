"""The exact SavedModel of a run as a model version, and the alias that says which version is live."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.tracking import pyfunc, signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

    from pipeline.tracking.destination import Destination
    from pipeline.tracking.state import State

DIGEST_TAG = "keraspipe.digest"
RUN_TAG = "keraspipe.mlflow_run_id"
VERSION_TAG = "serving_version"
OF_RUN = ("keraspipe.run_id", "data_digest", "code_digest")
OF_EVENT = {"commit": "git_commit", "parent": "parent_champion"}


def register(destination: Destination, state: State, name: str, model: Path, event: Mapping[str, Any]) -> str:
    """Makes the model a version, unless this run has done so before, and returns the version."""
    client = destination.client
    for known in _versions(client, name, event["digest"]):
        if known.run_id == state.mlflow_run_id:
            return str(known.version)
    logged = _logged(client, state, event["digest"]) or _log(client, state, name, model, event)
    _create_name(client, name)
    tags = {DIGEST_TAG: event["digest"], RUN_TAG: state.mlflow_run_id, **_origin(client, state)}
    made = client.create_model_version(
        name, f"models:/{logged.model_id}", state.mlflow_run_id, tags, model_id=logged.model_id
    )
    # The page of the logged model leads to the version by this tag.
    versions = json.dumps([{"name": name, "version": made.version}])
    client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": versions})
    return str(made.version)


def publish(destination: Destination, state: State, name: str, event: Mapping[str, Any]) -> None:
    """Notes under which number a version is served and where it comes from, and has the aliases follow the record.

    The record, and not the event: one that is recorded late, after a newer one, does not take an alias back.
    """
    from pipeline.tracking import aliases

    client = destination.client
    known = _versions(client, name, event["digest"])
    if not known:
        raise LookupError(f"no version of {name} with digest {event['digest']} is registered")
    own = [one for one in known if one.run_id == state.mlflow_run_id]
    target = (own or known)[0]
    of_event = {tag: event[key] for key, tag in OF_EVENT.items() if event.get(key)}
    for key, value in {VERSION_TAG: event["version"], **of_event}.items():
        client.set_model_version_tag(name, target.version, key, str(value))
    if destination.workspace:
        aliases.tell(destination, destination.workspace, name)


def _origin(client: MlflowClient, state: State) -> dict[str, str]:
    """Run, data and code that a version comes from."""
    tags = client.get_run(state.mlflow_run_id).data.tags
    return {key: tags[key] for key in OF_RUN if key in tags}


def _versions(client: MlflowClient, name: str, digest: str) -> list[ModelVersion]:
    """The versions with a digest, newest first."""
    found = client.search_model_versions(f"name = '{name}' and tags.`{DIGEST_TAG}` = '{digest}'")
    return sorted(found, key=lambda one: int(one.version), reverse=True)


def _logged(client: MlflowClient, state: State, digest: str) -> LoggedModel | None:
    """The model as a killed recorder left it; one that is not whole is removed."""
    condition = f"source_run_id = '{state.mlflow_run_id}' AND tags.`{DIGEST_TAG}` = '{digest}'"
    for model in client.search_logged_models([state.experiment_id], condition):
        if model.status == "READY":
            return model
        client.delete_logged_model(model.model_id)
    return None


def _log(client: MlflowClient, state: State, name: str, folder: Path, event: Mapping[str, Any]) -> LoggedModel:
    """Does what `mlflow.pyfunc.log_model` does, in an order that a crash leaves recognizable.

    Done by hand also for speed: `log_model` asks a server for the history of every metric of the run.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    tags = {DIGEST_TAG: event["digest"]}
    model = client.create_logged_model(state.experiment_id, name, state.mlflow_run_id, tags, model_type="served")
    client.log_outputs(state.mlflow_run_id, [LoggedModelOutput(model.model_id, step=0)])
    about = Model(
        model.artifact_location, model_id=model.model_id, run_id=state.mlflow_run_id, model_uuid=model.model_id
    )
    with tempfile.TemporaryDirectory(prefix="keraspipe-") as beside:
        whole = Path(beside) / "model"
        pyfunc.save(whole, folder, signature.build(event.get("signatures")), about)
        client.log_model_artifacts(model.model_id, str(whole))
    return client.finalize_logged_model(model.model_id, "READY")


def _create_name(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
