"""What clients answer with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serving.core.signature import of_proto

if TYPE_CHECKING:
    import numpy as np

    from serving.core.signature import Signature

Arrays = Mapping[str, "np.ndarray"]
Classes = list[list[tuple[str | bytes, float]]]


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
