"""Tables that the MLflow UI shows as tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.tracking.destination import Destination

TAG = "mlflow.loggedArtifacts"


def write(
    destination: Destination, run_id: str, path: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Replaces a table; MLflow's own `log_table` would append to it when an event is recorded again."""
    destination.client.log_dict(run_id, {"columns": list(columns), "data": [list(row) for row in rows]}, path)
    known = json.loads(destination.client.get_run(run_id).data.tags.get(TAG, "[]"))
    entry = {"path": path, "type": "table"}
    if entry not in known:
        destination.client.set_tag(run_id, TAG, json.dumps([*known, entry]))
