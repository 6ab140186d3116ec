"""Where the pieces of an answer go: into one JSON object, or into events that are made as the client reads them.

What a slow client has not read yet is kept as text, at most one context's for each choice, and becomes few large events
when it reads on: its answer goes on to be generated meanwhile, so that its slot is free for others soon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.openai.answers import DONE, AnswerForm, Choice, Usage, to_event
from serving.wire import openai_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.errors import ServingError
    from serving.generation.answer import Piece


class EventStream:
    """An answer as server-sent events (`serving.rest.streaming.BodyStream`); used on the event loop.

    Args:
        form: Writes the events.
        usage: Counts, complete at the end.
    """

    def __init__(self, form: AnswerForm, usage: Usage) -> None:
        self._form, self._usage = form, usage
        self._fresh: dict[int, Choice] = {}
        self._begun: set[int] = set()
        self._error: ServingError | None = None
        self._is_complete = self._is_over = False
        self._wake: Callable[[], None] = lambda: None

    def start(self, wake: Callable[[], None]) -> None:
        """`wake` is called whenever there is something new."""
        self._wake = wake

    def add(self, place: int, piece: Piece) -> None:
        """A piece of a choice came."""
        self._fresh.setdefault(place, Choice()).add(piece)
        self._wake()

    def end(self, error: ServingError | None = None) -> None:
        """All choices are complete, or the answer ends here."""
        self._error, self._is_complete = error, True
        self._wake()

    def take(self) -> bytes | None:
        """The events that are due; None at the end."""
        if self._is_over:
            return None
        fresh, self._fresh = self._fresh, {}
        parts = [part for place, choice in fresh.items() for part in self._write(place, choice)]
        if self._is_complete:
            self._is_over = True
            parts.append(self._last())
        return b"".join(parts)

    def probe(self) -> bytes:
        """A comment, which clients read over."""
        return b": \n\n"

    def _write(self, place: int, choice: Choice) -> list[bytes]:
        first = [] if place in self._begun else [self._form.first_event(place)]
        self._begun.add(place)
        return [*first, self._form.events(place, choice)]

    def _last(self) -> bytes:
        if self._error:
            return to_event({"error": openai_errors.error_object(self._error)})
        return self._form.usage_event(self._usage) + DONE
