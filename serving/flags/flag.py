"""One flag: its name, what it takes, and how a value is read."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

Value = bool | int | float | str

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_INTEGER = re.compile(r"[+-]?[0-9]+")


class FlagError(Exception):
    """The command line cannot be used.

    Args:
        what: What is wrong, one sentence.
        expected: What would have been right.
        received: What was found instead.
        action: What to do next.
    """

    def __init__(self, what: str, *, expected: str = "", received: str | None = None, action: str = "") -> None:
        lines = [what]
        if expected:
            lines.append(f"Expected: {expected}")
        if received is not None:
            lines.append(f"Received: {received}")
        if action:
            lines.append(f"Next: {action}")
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class Flag:
    """A flag of the command line; its type is that of its default.

    Attributes:
        name: Name, words joined by `_` where upstream has it, else by `-`; both are read.
        default: Value when it is not given.
        words: What it does, in one line.
        shown: The default in words, where the value itself does not say it.
        takes: Name of the value in the help.
        least: Smallest number.
        most: Largest number.
        unsupported: What this server does instead, where another value than the default cannot be honoured.
        repeats: Whether all values count of a text that is given several times, joined by commas; else the last does.
    """

    name: str
    default: Value
    words: str
    shown: str = ""
    takes: str = ""
    least: float | None = None
    most: float | None = None
    unsupported: str = ""
    repeats: bool = False

    @property
    def key(self) -> str:
        """The name that all spellings share."""
        return self.name.replace("-", "_")

    @property
    def is_switch(self) -> bool:
        """Whether the flag alone means true."""
        return isinstance(self.default, bool)

    @property
    def help(self) -> str:
        """What it does, and its default unless that is nothing, for argparse."""
        default = self.shown
        if not default and (isinstance(self.default, float) or self.default not in ("", False)):
            default = f"{self.default:g}" if isinstance(self.default, float) else str(self.default).lower()
        return (self.words + (f" (default: {default})" if default else "")).replace("%", "%%")

    def read(self, text: str) -> Value:
        """The value that a text stands for.

        Raises:
            FlagError: It is none of this flag's values.
        """
        value = self._parsed(text)
        if value is None or (not isinstance(value, str) and not self._is_within(value)):
            raise FlagError(f"--{self.name} cannot be read.", expected=self.expected(), received=repr(text))
        return value

    def _parsed(self, text: str) -> Value | None:
        if isinstance(self.default, bool):
            return _BOOLEANS.get(text.lower())
        if isinstance(self.default, int):
            return int(text) if _INTEGER.fullmatch(text) else None
        if isinstance(self.default, float):
            return _number(text)
        return text

    def _is_within(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def expected(self) -> str:
        """The values of this flag in words."""
        if self.is_switch:
            return "true, false, 1 or 0"
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        if self.least is not None and self.most is not None:
            return f"{kind} from {self.least:g} to {self.most:g}"
        return kind if self.least is None else f"{kind} of at least {self.least:g}"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
