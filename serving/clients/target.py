"""Which model a call means."""

from __future__ import annotations

from dataclasses import dataclass

from serving.errors import InvalidArgument

_MAX_VERSION = 2**63


@dataclass(frozen=True)
class Target:
    """A model, and the version of it by number or by label; with neither the highest that is loaded.

    Raises:
        InvalidArgument: No name, both a version and a label, or a version that is no number.
    """

    name: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise _wrong("a model's name", self.name, "pass the name that the server serves it under")
        if self.version is not None and self.label is not None:
            raise _wrong("a version or a label", f"{self.version} and {self.label!r}", "leave one of them out")
        if self.version is not None and not _is_version(self.version):
            raise _wrong("a version from 0 to 2**63 - 1", repr(self.version), "see Client.status for the versions")
        if self.label == "":
            raise _wrong("a label", "''", "pass label=None for the highest version")


def _is_version(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_VERSION


def _wrong(expected: str, received: object, action: str) -> InvalidArgument:
    return InvalidArgument(
        f"This names no model version.\nExpected: {expected}\nReceived: {received!s}\nNext: {action}"
    )
