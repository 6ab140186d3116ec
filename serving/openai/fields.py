"""Reads the fields of a request, each with its type and its bounds; what is wrong is said with the field's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving.wire.openai_errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_SHOWN = 80  # characters of a value in an error


class Fields:
    """The fields of a JSON object; null is as absent, as for OpenAI.

    Args:
        content: The object.
        path: Where it lies, such as `messages[0]`; empty for the request itself.

    Raises:
        BadRequest: It is no object.
    """

    def __init__(self, content: Any, path: str = "") -> None:
        if not isinstance(content, dict):
            raise BadRequest(
                f"Expected {'an object' if path else 'a JSON object'}. Received: {show(content)}", path or None
            )
        self.content: dict[str, Any] = {name: value for name, value in content.items() if value is not None}
        self.path = path

    def name(self, field: str) -> str:
        """A field's name within the request."""
        return f"{self.path}.{field}" if self.path else field

    def error(self, field: str, expected: str, reason: str | None = "invalid_value") -> BadRequest:
        """The error of a field whose value is wrong."""
        name = self.name(field)
        if field not in self.content:
            return BadRequest(f"'{name}' is missing: expected {expected}.", name, "missing_required_parameter")
        return BadRequest(
            f"'{name}' is wrong: expected {expected}. Received: {show(self.content[field])}", name, reason
        )

    def check_known(self, known: Collection[str], unsupported: Mapping[str, Collection[Any]]) -> None:
        """Refuses fields that do not exist, and values that are not supported.

        Args:
            known: Fields that may be there.
            unsupported: Fields that may only have one of these values, as they then change nothing.
        """
        for field, value in self.content.items():
            name = self.name(field)
            if field in unsupported:
                if not any(
                    value is each or (type(value) is type(each) and value == each) for each in unsupported[field]
                ):
                    raise BadRequest(f"'{name}' is not supported by this server.", name, "unsupported_parameter")
            elif field not in known:
                raise BadRequest(f"'{name}' is no field of this request.", name, "unknown_parameter")

    def text(self, field: str, default: str | None = None) -> str:
        """A text; required where there is no default."""
        value = self.content.get(field, default)
        if not isinstance(value, str):
            raise self.error(field, "a text")
        return value

    def flag(self, field: str) -> bool:
        """True or false; false where it is absent."""
        value = self.content.get(field, False)
        if not isinstance(value, bool):
            raise self.error(field, "true or false")
        return value

    def number(self, field: str, default: float, least: float, most: float) -> float:
        """A number within bounds."""
        value = self.content.get(field, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise self.error(field, f"a number from {least:g} to {most:g}")
        return float(value)

    def integer(self, field: str, default: int | None, least: int, most: int) -> int | None:
        """A whole number within bounds."""
        value = self.content.get(field, default)
        if value is default:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.error(field, f"a whole number from {least} to {most}")
        return value

    def choice(self, field: str, values: Collection[str], default: str) -> str:
        """One of some texts."""
        value = self.content.get(field, default)
        if not isinstance(value, str) or value not in values:
            raise self.error(field, f"one of {', '.join(map(repr, values))}")
        return value

    def listed(self, field: str, expected: str) -> list[Any]:
        """A list that is not empty."""
        value = self.content.get(field)
        if not isinstance(value, list) or not value:
            raise self.error(field, expected)
        return value


def show(value: Any) -> str:
    """A value in few characters."""
    if isinstance(value, (list, dict)) and len(value) > 3:  # noqa: PLR2004 - more would only be cut
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
