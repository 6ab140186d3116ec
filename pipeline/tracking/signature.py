"""MLflow's description of what a served model takes and gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import DataType

ENDPOINT = "serving_default"


def build(signatures: Any) -> ModelSignature | None:
    """The signature of the default endpoint; None where the event does not tell it.

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

    return Schema([_column(name, tensor) for name, tensor in tensors.items()]) if tensors else None


def _column(name: str, tensor: Any) -> ColSpec:
    from mlflow.types import ColSpec
    from mlflow.types.schema import Array

    told = tensor if isinstance(tensor, dict) else {"dtype": str(tensor)}
    kind: DataType | Array = _kind(name, str(told.get("dtype")))
    for _ in (told.get("shape") or [None])[1:]:
        kind = Array(kind)
    return ColSpec(kind, name)


def _kind(name: str, dtype: str) -> DataType:
    """The widest type of its kind: MLflow refuses a column of Python's numbers where it was told float32."""
    from mlflow.types.schema import DataType

    if dtype == "string":
        return DataType.binary if name.endswith("_bytes") else DataType.string
    if dtype.startswith(("float", "bfloat")):
        return DataType.double
    return DataType.boolean if dtype == "bool" else DataType.long
