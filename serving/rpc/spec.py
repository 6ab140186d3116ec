"""`tensorflow.serving.ModelSpec` to the core's own and back."""

from __future__ import annotations

from typing import Any

from serving.core.models import Spec
from serving.errors import InvalidArgument


def of(request: Any) -> Spec:
    """The model that a request asks for.

    Raises:
        InvalidArgument: `Missing ModelSpec`.
    """
    if not request.HasField("model_spec"):
        raise InvalidArgument("Missing ModelSpec")
    return of_message(request.model_spec)


def of_message(message: Any) -> Spec:
    """A ModelSpec as the core's own."""
    choice = message.WhichOneof("version_choice")
    return Spec(
        message.name,
        message.version.value if choice == "version" else None,
        message.version_label if choice == "version_label" else None,
    )


def fill(message: Any, name: str, signature: str, version: int) -> None:
    """Say which version answered; never by its label."""
    message.name = name
    message.signature_name = signature
    message.version.value = version
