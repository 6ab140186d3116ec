"""The exact SavedModel of a run as a model version, and the alias that says which version is live."""

from __future__ import annotations

import json
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.tracking import signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

    from pipeline.tracking.destination import Destination
    from pipeline.tracking.state import State

CODE = Path(__file__).with_name("served_model.py")
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
    tags = {DIGEST_TAG: event["digest"], RUN_TAG: state.mlflow_run_id}
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
    for key, value in {VERSION_TAG: event["version"], **_lineage(client, state, event)}.items():
        client.set_model_version_tag(name, target.version, key, str(value))
    if destination.workspace:
        aliases.tell(destination, destination.workspace, name)


def _lineage(client: MlflowClient, state: State, event: Mapping[str, Any]) -> dict[str, str]:
    """Run, data, code and the champion that a version was judged against."""
    tags = client.get_run(state.mlflow_run_id).data.tags
    of_run = {key: tags[key] for key in OF_RUN if key in tags}
    return of_run | {tag: event[key] for key, tag in OF_EVENT.items() if event.get(key)}


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

    tags = {DIGEST_TAG: event["digest"]}
    model = client.create_logged_model(state.experiment_id, name, state.mlflow_run_id, tags, model_type="served")
    client.log_outputs(state.mlflow_run_id, [LoggedModelOutput(model.model_id, step=0)])
    with tempfile.TemporaryDirectory(prefix="keraspipe-") as beside:
        whole = Path(beside) / "model"
        _save(whole, model, state, folder, event)
        client.log_model_artifacts(model.model_id, str(whole))
    return client.finalize_logged_model(model.model_id, "READY")


def _save(whole: Path, model: LoggedModel, state: State, folder: Path, event: Mapping[str, Any]) -> None:
    packages = ("mlflow", "tensorflow", "pandas")
    with warnings.catch_warnings():
        # MLflow advises to add type hints and an input example, to learn from them what the signature says.
        warnings.simplefilter("ignore")
        import mlflow.pyfunc
        from mlflow.models import Model

        ids: dict[str, Any] = {"run_id": state.mlflow_run_id, "model_uuid": model.model_id}
        mlflow.pyfunc.save_model(
            whole,
            mlflow_model=Model(model.artifact_location, model_id=model.model_id, **ids),
            python_model=str(CODE),
            artifacts={"saved_model": str(folder)},
            signature=signature.build(event.get("signatures")),
            # Named here, because MLflow would load the model in another process to find out.
            pip_requirements=[f"{package}=={version(package)}" for package in packages],
        )


def _create_name(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
