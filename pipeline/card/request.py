"""A request that the version answers: the first row of its own warm-up requests, and the `curl` that sends it."""

from __future__ import annotations

import base64
import json
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

URL = "http://127.0.0.1:8501"
SHORT = 2000  # characters of a body that stands in the command itself


def body(model: Path) -> dict[str, Any]:
    """The request in TensorFlow Serving's row format; empty where no recorded row can be written as JSON.

    Args:
        model: Folder of the SavedModel.
    """
    from serving.rest import sample

    inputs = sample.recorded(model).get(("predict", "serving_default"), {})
    rows = max((len(values) for values in inputs.values()), default=0)
    usable = (row for row in range(rows) if all(_is_json(values[row]) for values in inputs.values()))
    row = next(usable, None)
    return {} if row is None else {"instances": [{name: _json(name, values[row]) for name, values in inputs.items()}]}


def is_long(request: Mapping[str, Any]) -> bool:
    """Whether a body is too long to stand in a command that people read."""
    return len(json.dumps(request)) > SHORT


def curl(name: str, version: int, request: Mapping[str, Any], path: Path | None) -> str:
    """The command that asks a server on this machine; without a request, what the model takes.

    Args:
        name: Under which the model is served.
        version: The version.
        request: What `body` gave.
        path: The file that a long body is read from; None where it stands in the command.
    """
    if not request:
        return f"curl -s {URL}/v1/models/{name}/versions/{version}/metadata"
    sent = f"@{path}" if path else json.dumps(request)
    return f"curl -s -d {shlex.quote(sent)} {URL}/v1/models/{name}/versions/{version}:predict"


def _is_json(value: Any) -> bool:
    import numpy as np

    numbers = np.asarray(value)
    return numbers.dtype.kind not in "fc" or bool(np.isfinite(numbers).all())


def _json(name: str, value: np.ndarray | bytes | str) -> Any:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()} if name.endswith("_bytes") else value.decode(errors="replace")
    if isinstance(value, str):
        return value
    return [_json(name, one) for one in value] if value.dtype == object else value.tolist()
