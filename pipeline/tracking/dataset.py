"""The data of a run as MLflow's dataset input: name, fingerprint, source, columns, rows per split."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipeline.tracking.statistics import reading

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.tracking.destination import Destination

LONGEST_DIGEST = 36  # that MLflow takes; the run's tag data_digest has all of it
CONTEXT = "mlflow.data.context"


def record(destination: Destination, run_id: str, event: Mapping[str, Any], statistics: Path, schema: Path) -> None:
    """Makes the data an input of the run; MLflow knows the same name and digest again."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    rows = reading.rows(statistics)
    dataset = Dataset(
        name=event["name"],
        digest=event["digest"][:LONGEST_DIGEST] or "unknown",
        source_type="local",
        source=json.dumps({"uri": ", ".join(event["files"])}),
        schema=json.dumps({"mlflow_colspec": _columns(statistics, schema)}),
        profile=json.dumps({"num_rows": sum(rows.values()), **rows}),
    )
    inputs = [DatasetInput(dataset, [InputTag(CONTEXT, "training, evaluation and test")])]
    destination.client.log_inputs(run_id, inputs)


def _columns(statistics: Path, schema: Path) -> list[dict[str, Any]]:
    types = {"number": "double", "text": "string", "bytes": "binary"}
    found = reading.features(statistics, schema, [])
    return [{"name": feature.name, "type": types[feature.kind], "required": True} for feature in found]
