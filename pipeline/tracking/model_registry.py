"""Registers a run's SavedModel in MLflow: a model version with signature and tags, loadable by `mlflow.pyfunc`."""

from __future__ import annotations

import json
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.tracking.client import DIGEST_TAG, VERSION_TAG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import Model, ModelSignature
    from mlflow.tracking import MlflowClient
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import DataType

    from pipeline.store.recording import RecordingState
    from pipeline.tracking.client import TrackingStore


RUN_ID_TAG = "keraspipe.mlflow_run_id"
RUN_TAGS = ("keraspipe.run_id", "data_digest", "code_digest")
EVENT_TAGS = {"commit": "git_commit", "parent": "parent_champion"}
MODEL_METRICS = "test/"
ENDPOINT = "serving_default"
PYFUNC_CODE = Path(__file__).with_name("served_model.py")
PYFUNC_PACKAGES = ("mlflow", "tensorflow", "pandas")


def register(
    destination: TrackingStore, state: RecordingState, name: str, model: Path, event: Mapping[str, Any]
) -> str:
    """Registers the model as a version, unless this run has done so before, and returns the version."""
    client = destination.client
    for entry in _find_versions(client, name, event["digest"]):
        if entry.run_id == state.mlflow_run_id:
            return str(entry.version)
    logged = _find_logged_model(client, state, event["digest"]) or _log_model(client, state, name, model, event)
    _describe_model(client, state, logged.model_id)
    _create_registered_model(client, name)
    tags = {DIGEST_TAG: event["digest"], RUN_ID_TAG: state.mlflow_run_id, **_origin_tags(client, state)}
    model_version = client.create_model_version(
        name, f"models:/{logged.model_id}", state.mlflow_run_id, tags, model_id=logged.model_id
    )
    # MLflow's page of the logged model links to the version by this tag.
    versions = json.dumps([{"name": name, "version": model_version.version}])
    client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": versions})
    return str(model_version.version)


def publish(destination: TrackingStore, state: RecordingState, name: str, event: Mapping[str, Any]) -> None:
    """Tags a version with its serving number and its origin, and sets the aliases.

    The aliases come from the workspace's record and not from the event: an event that is recorded late, after a newer
    one, must not move an alias back.
    """
    from pipeline.tracking import alias_sync

    client = destination.client
    entries = _find_versions(client, name, event["digest"])
    if not entries:
        raise LookupError(f"no version of {name} with digest {event['digest']} is registered")
    own = [entry for entry in entries if entry.run_id == state.mlflow_run_id]
    target = (own or entries)[0]
    of_event = {tag: event[key] for key, tag in EVENT_TAGS.items() if event.get(key)}
    of_event |= {"quick": "true"} if event.get("alias") == "quick" else {}
    for key, value in {VERSION_TAG: event["version"], **of_event}.items():
        client.set_model_version_tag(name, target.version, key, str(value))
    if event.get("alias") == "quick":
        client.set_tag(state.mlflow_run_id, alias_sync.ALIAS_TAG, "quick")
    if destination.workspace:
        alias_sync.push_aliases(destination, destination.workspace, name)


def _origin_tags(client: MlflowClient, state: RecordingState) -> dict[str, str]:
    """Returns tags for the run, data and code that a version comes from."""
    tags = client.get_run(state.mlflow_run_id).data.tags
    return {key: tags[key] for key in RUN_TAGS if key in tags}


def _find_versions(client: MlflowClient, name: str, digest: str) -> list[ModelVersion]:
    """Returns the versions with a digest, newest first."""
    versions = client.search_model_versions(f"name = '{name}' and tags.`{DIGEST_TAG}` = '{digest}'")
    return sorted(versions, key=lambda entry: int(entry.version), reverse=True)


def _find_logged_model(client: MlflowClient, state: RecordingState, digest: str) -> LoggedModel | None:
    """Returns the model that a killed recorder has logged; removes an incomplete one."""
    condition = f"source_run_id = '{state.mlflow_run_id}' AND tags.`{DIGEST_TAG}` = '{digest}'"
    for model in client.search_logged_models([state.experiment_id], condition):
        if model.status == "READY":
            return model
        client.delete_logged_model(model.model_id)
    return None


def _log_model(
    client: MlflowClient, state: RecordingState, name: str, folder: Path, event: Mapping[str, Any]
) -> LoggedModel:
    """Does what `mlflow.pyfunc.log_model` does, in an order that lets a later recorder recognize a crash.

    It is also faster: `log_model` asks a server for the history of every metric of the run.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    tags = {DIGEST_TAG: event["digest"]}
    params = client.get_run(state.mlflow_run_id).data.params
    model = client.create_logged_model(
        state.experiment_id, name, state.mlflow_run_id, tags, params=params, model_type="served"
    )
    client.log_outputs(state.mlflow_run_id, [LoggedModelOutput(model.model_id, step=0)])
    about = Model(
        model.artifact_location, model_id=model.model_id, run_id=state.mlflow_run_id, model_uuid=model.model_id
    )
    with tempfile.TemporaryDirectory(prefix="keraspipe-") as temporary:
        whole = Path(temporary) / "model"
        save_pyfunc(whole, folder, build_signature(event.get("signatures")), about)
        client.log_model_artifacts(model.model_id, str(whole))
    return client.finalize_logged_model(model.model_id, "READY")


def _describe_model(client: MlflowClient, state: RecordingState, model_id: str) -> None:
    """Gives the logged model the run's metrics on the test split, its data set and its description."""
    from mlflow.entities import Metric

    run = client.get_run(state.mlflow_run_id)
    inputs = run.inputs.dataset_inputs if run.inputs else []
    data = {"dataset_name": inputs[0].dataset.name, "dataset_digest": inputs[0].dataset.digest} if inputs else {}
    metrics = [
        Metric(key, value, run.info.start_time, 0, model_id=model_id, **data)
        for key, value in run.data.metrics.items()
        if key.startswith(MODEL_METRICS)
    ]
    client.log_batch(state.mlflow_run_id, metrics=metrics)
    description = run.data.tags.get("mlflow.note.content", "")
    client.set_logged_model_tags(model_id, {"mlflow.note.content": description})


def _create_registered_model(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def build_signature(signatures: Any) -> ModelSignature | None:
    """Returns the signature of the default endpoint; None if the event does not have it.

    Args:
        signatures: {endpoint: {"inputs": {name: dtype}, "outputs": {name: dtype}}}; a dtype is a text such as
            "float32", or {"dtype": text, "shape": [null, 3]}.
    """
    endpoint = signatures.get(ENDPOINT) if isinstance(signatures, dict) else None
    if not isinstance(endpoint, dict) or not isinstance(endpoint.get("inputs"), dict):
        return None
    from mlflow.models import ModelSignature

    return ModelSignature(_schema(endpoint["inputs"]), _schema(endpoint.get("outputs") or {}) or None)


def _schema(tensors: Mapping[str, Any]) -> Schema | None:
    from mlflow.types import Schema

    return Schema([_column_spec(name, tensor) for name, tensor in tensors.items()]) if tensors else None


def _column_spec(name: str, tensor: Any) -> ColSpec:
    from mlflow.types import ColSpec
    from mlflow.types.schema import Array

    spec = tensor if isinstance(tensor, dict) else {"dtype": str(tensor)}
    kind: DataType | Array = _data_type(name, str(spec.get("dtype")))
    for _ in (spec.get("shape") or [None])[1:]:
        kind = Array(kind)
    return ColSpec(kind, name)


def _data_type(name: str, dtype: str) -> DataType:
    """Returns the widest type of its kind, because MLflow refuses Python's numbers for a column of float32."""
    from mlflow.types.schema import DataType

    if dtype == "string":
        return DataType.binary if name.endswith("_bytes") else DataType.string
    if dtype.startswith(("float", "bfloat")):
        return DataType.double
    return DataType.boolean if dtype == "bool" else DataType.long


def save_pyfunc(path: Path, model: Path, signature: ModelSignature | None = None, about: Model | None = None) -> None:
    """Writes the folder, with a copy of the SavedModel in it.

    Args:
        path: The folder, which does not exist.
        model: Folder of the SavedModel.
        signature: Inputs and outputs of the model.
        about: MLflow's description of the model: its place and its run.
    """
    with warnings.catch_warnings():
        # MLflow advises to add type hints and an input example, from which it would infer the signature.
        warnings.simplefilter("ignore")
        import mlflow.pyfunc

        mlflow.pyfunc.save_model(
            path,
            mlflow_model=about,
            python_model=str(PYFUNC_CODE),
            artifacts={"saved_model": str(model)},
            signature=signature,
            # Listed here, because MLflow would load the model in another process to infer them.
            pip_requirements=[f"{package}=={version(package)}" for package in PYFUNC_PACKAGES],
        )
