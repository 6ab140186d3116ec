"""Notifications of a verdict or a failure: by a webhook, or by a command that reads them from stdin."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

from pipeline.console import format_number

if TYPE_CHECKING:
    from pipeline.runs.run import RunResult

TIMEOUT_S = 10


def verdict_message(result: RunResult) -> dict[str, Any]:
    """Returns the message about a run that has ended."""
    numbers = ", ".join(f"{name} {format_number(value)}" for name, value in result.metrics.items())
    outcome = {True: f"blessed, version {result.model_version}", False: "not blessed", None: "done"}[result.blessed]
    reasons = "".join(f"\n- {reason}" for reason in result.reasons)
    return {
        "event": "verdict",
        "text": f"{result.recipe}: {outcome}; {numbers}{reasons}",
        **{name: value for name, value in result.as_json().items() if name != "steps"},
    }


def failure_message(recipe: str, run_id: str, error: Exception) -> dict[str, Any]:
    """Returns the message about a run that has failed."""
    return {
        "event": "failure",
        "text": f"{recipe}: the run failed: {error}",
        "run_id": run_id,
        "recipe": recipe,
        "message": str(error),
    }


def send(target: str, message: dict[str, Any]) -> str:
    """Sends a notification; returns the error, empty on success. A run never fails because of it.

    Args:
        target: A URL, to which the message is sent as JSON (chat services show its `text`), or a command, which gets it
            on stdin; empty for none.
        message: The message.
    """
    if not target:
        return ""
    body = json.dumps(message, default=float).encode()
    try:
        if target.startswith(("http://", "https://")):
            _post_json(target, body)
        else:
            subprocess.run(  # noqa: S603  (the user's own command)
                shlex.split(target), input=body, check=True, timeout=TIMEOUT_S, stdout=sys.stderr
            )
    except Exception as error:  # noqa: BLE001  (the run is over, and its result holds whatever happens here)
        return f"{_redact_target(target)} was not notified: {error}"
    return ""


def _redact_target(target: str) -> str:
    """Returns a target without its secrets: a URL may end in a key, and a command may contain one."""
    if "://" not in target:
        return target.split(maxsplit=1)[0]
    scheme, _, rest = target.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"


def _post_json(url: str, body: bytes) -> None:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310  (checked above)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
        pass
