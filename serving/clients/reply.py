"""What both clients answer with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serving.core.signature import of_proto
from serving.errors import Unavailable

if TYPE_CHECKING:
    from serving.core.signature import Signature

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class VersionStatus:
    """What a server says of one version.

    Attributes:
        version: Its number.
        state: `START`, `LOADING`, `AVAILABLE`, `UNLOADING` or `END`.
        error: Why it ended; empty when nothing went wrong.
    """

    version: int
    state: str
    error: str = ""


def signatures(message: Any) -> dict[str, Signature]:
    """The signatures of a `SignatureDefMap`, by name."""
    return {name: of_proto(name, proto) for name, proto in sorted(message.signature_def.items())}


def unreachable(where: str, error: object) -> Unavailable:
    """The error of a server that is not there."""
    return Unavailable(
        f"The model server at {where} does not answer.\n"
        f"Expected: a server of TensorFlow Serving's protocol\n"
        f"Received: {error}\n"
        f"Next: start one with `keraspipe serve`, or give its address"
    )
