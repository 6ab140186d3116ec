"""What the workers of a server ask each other: their parent passes questions on, and the answers back."""

from __future__ import annotations

import dataclasses
import logging
import time
from typing import TYPE_CHECKING, Any

from serving.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    from serving.worker import Worker

_LOG = logging.getLogger("keraspipe.serving")
_RELOAD = "reload"
_PATIENCE_S = {"metrics": 5.0, _RELOAD: 570.0}  # others may have to load a model before they answer
_NOBODY = 0  # the number of what is told and not asked


@dataclasses.dataclass
class _Question:
    asker: Worker
    number: int  # the asker's own
    kind: str
    waiting: set[Worker]
    due: float
    answers: list[Any] = dataclasses.field(default_factory=list)


class Exchange:
    """Questions under way.

    Attributes:
        config: What the models were last set to, a serialized `ReloadConfigRequest`; None where they were not.
    """

    def __init__(self) -> None:
        self.config: bytes | None = None
        self._questions: dict[int, _Question] = {}
        self._asked = _NOBODY

    def ask(self, asker: Worker, number: int, kind: str, content: Any, workers: Collection[Worker]) -> None:
        """Pass a question on: a new list of models to all, also to those that still start; others to the ready."""
        others = {one for one in workers if one is not asker and (one.ready or kind == _RELOAD)}
        if kind == _RELOAD:
            self.config = content
        crossing = kind == _RELOAD and any(one.kind == _RELOAD for one in self._questions.values())
        self._asked += 1
        due = time.monotonic() + _PATIENCE_S[kind]
        question = self._questions[self._asked] = _Question(asker, number, kind, others, due)
        for one in others:
            one.tell("ask", self._asked, kind, content)
        if crossing:  # the asker may have heard of the earlier list after it set its own: the last one counts for all
            asker.tell("ask", _NOBODY, kind, content)
        self._finish(self._asked, question)

    def reply(self, worker: Worker, number: int, answers: list[Any]) -> None:
        """Take a worker's answer."""
        question = self._questions.get(number)
        if question and worker in question.waiting:
            question.waiting.discard(worker)
            question.answers += answers
            self._finish(number, question)

    def left(self, worker: Worker) -> None:
        """A worker has died, and answers nothing any more."""
        for number, question in list(self._questions.items()):
            question.waiting.discard(worker)
            self._finish(number, question)

    def due(self) -> float:
        """When the next question is given up, by `time.monotonic`; infinite where none is."""
        return min((question.due for question in self._questions.values()), default=float("inf"))

    def give_up(self) -> None:
        """Answer what is overdue with what there is."""
        for number, question in list(self._questions.items()):
            if question.due > time.monotonic():
                continue
            late = [one.number for one in question.waiting]
            _LOG.error("Workers %s do not answer: %s", late, question.kind)
            if question.kind == _RELOAD:
                question.answers.append(Unavailable(f"Workers {late} did not say whether they have the new models"))
            question.waiting.clear()
            self._finish(number, question)

    def _finish(self, number: int, question: _Question) -> None:
        if not question.waiting:
            del self._questions[number]
            question.asker.tell("answered", question.number, question.answers)
