"""The other processes of a server: what one of them is asked, all of them answer."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from serving.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.connection import Connection

_LOG = logging.getLogger("keraspipe.serving")
_PATIENCE_S = 600.0  # the parent gives up before


class Peers:
    """One process's line to the others, by way of their parent.

    Args:
        line: Messages to and from the parent.
        orphaned: Called when the parent is gone.
    """

    def __init__(self, line: Connection, orphaned: Callable[[], None]) -> None:
        self._line = line
        self._orphaned = orphaned
        self._answers: Mapping[str, Callable[[Any], Any]] = {}
        self._asked: dict[int, Future[list[Any]]] = {}
        self._numbers = itertools.count()
        self._sending = threading.Lock()

    def listen(self, answers: Mapping[str, Callable[[Any], Any]]) -> None:
        """Answer from now on what others ask, by kind of question, in threads of its own."""
        self._answers = answers
        threading.Thread(target=self._listen, name="peers", daemon=True).start()

    def ask(self, kind: str, content: Any) -> list[Any]:
        """What the others answer; blocks until all that live have, or have had the time to.

        Raises:
            Unavailable: The parent is gone.
        """
        number, future = next(self._numbers), Future[list[Any]]()
        self._asked[number] = future
        try:
            self.send("ask", number, kind, content)
            return future.result(_PATIENCE_S)
        except (TimeoutError, OSError) as error:
            raise Unavailable("The other processes of this server do not answer") from error
        finally:
            self._asked.pop(number, None)

    def send(self, *message: Any) -> None:
        """Tell the parent something."""
        with self._sending:
            self._line.send(message)

    def _listen(self) -> None:
        try:
            while True:
                self._hear(*self._line.recv())
        except (EOFError, OSError):
            self._orphaned()

    def _hear(self, verb: str, number: Any, *rest: Any) -> None:
        future = self._asked.get(number) if verb == "answered" else None
        if future:
            future.set_result(rest[0])
        elif verb == "ask":
            threading.Thread(target=self._reply, args=(number, *rest), name="peer", daemon=True).start()

    def _reply(self, number: Any, kind: str, content: Any) -> None:
        answers = []
        try:
            answers.append(self._answers[kind](content))
        except Exception:  # noqa: BLE001 - the asker is told that there is no answer, the log the traceback
            _LOG.exception("The answer to another process failed: %s", kind)
        with contextlib.suppress(OSError):  # the parent is gone, which is noticed by itself
            self.send("reply", number, answers)
