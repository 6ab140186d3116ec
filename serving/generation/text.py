"""Text of an answer as it grows: whole characters only, and nothing of a stop text."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class TextAssembler:
    """Puts the bytes of tokens together.

    Bytes of a character that is not complete are held back, as is the end of the text while it may be the beginning of
    a stop text. Bytes that are no UTF-8 become U+FFFD.

    Args:
        stops: Texts that end the answer; they are no part of it.

    Attributes:
        is_stopped: Whether one of them came.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = tuple(stops)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self.is_stopped = False

    def feed(self, piece: bytes) -> str:
        """Takes a token's bytes; returns what can be shown now."""
        return self._take(self._decoder.decode(piece))

    def finish(self) -> str:
        """Returns what was held back: the answer is at its end."""
        text = self._take(self._decoder.decode(b"", final=True))
        held, self._held = self._held, ""
        return text + held

    def _take(self, text: str) -> str:
        if self.is_stopped:
            return ""
        text = self._held + text
        places = [place for place in map(text.find, self._stops) if place >= 0]
        if places:
            self.is_stopped, self._held = True, ""
            return text[: min(places)]
        safe = len(text) - max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[safe:]
        return text[:safe]


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of a text are the beginning of a stop text."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
