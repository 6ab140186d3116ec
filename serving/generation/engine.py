"""Continuous batching (Yu et al. 2022, "Orca", section 3.1): all answers of a model advance together, token by token.

A request that comes takes a slot at the next step, and gives it back when it is done; nobody waits for a batch to end.
Prompts are read in pieces of one size, one piece between two steps, so that those who are answered wait little. A piece
begins at the same positions whoever else is there, and a step always has all slots: so an answer has the same numbers
alone and among others.

What whole pieces of a prompt left in a slot is used again by the next prompt that begins in the same way, such as the
next turn of a chat.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING, Protocol

import numpy as np

from serving.errors import Code, DeadlineExceeded, ResourceExhausted, ServingError, Unavailable, unexpected_error
from serving.generation.answer import Draw, Generation, Piece, new_bytes
from serving.generation.slots import PIECE, Slots

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from serving.generation.language_model import LanguageCalls

_LOG = logging.getLogger("keraspipe.serving")
_LOOK_S = 0.1  # between two looks at what waits and at the version's state
_LONGEST_WAIT_S = 60


class EngineMetrics(Protocol):
    """What is recorded of the answers of one version."""

    def streams(self, active: int, waiting: int) -> None:
        """So many answers are generated, and so many wait."""

    def generation(self, reason: str, prompt: int, tokens: int, first_token_s: float, seconds: float) -> None:
        """An answer ended; seconds from the request, and to its first token (nan where there was none)."""


class Engine:
    """Generates the answers of one loaded version, in a thread that is there while there is work.

    Args:
        calls: The model.
        waiting: Answers that may wait for a slot.
        metrics: Told what happens; None for nobody.
        is_retired: Whether the version takes no new requests: what runs may go on for a while.
        grace_s: For how long.
        name: The version's, for errors.

    Attributes:
        calls: The model.
    """

    def __init__(
        self,
        calls: LanguageCalls,
        waiting: int = 1024,
        metrics: EngineMetrics | None = None,
        is_retired: Callable[[], bool] = lambda: False,
        grace_s: float = 30.0,
        name: str = "The model",
    ) -> None:
        self.calls, self._most, self._metrics = calls, waiting, metrics
        self._is_retired, self._grace_s, self._name = is_retired, grace_s, name
        self._slots = Slots(calls.about.slots)
        self._waiting: dict[Generation, None] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ends = math.inf  # when the version's answers are cut off
        self._next_look = 0.0
        self._mean_s = 1.0  # that an answer takes, lately

    def submit(self, generations: Sequence[Generation]) -> None:
        """Begin to answer; all of them or none.

        Raises:
            ResourceExhausted: Too many wait already.
        """
        with self._lock:
            free = self._slots.free_count
            if len(self._waiting) + len(generations) > self._most + free:
                raise ResourceExhausted(
                    f"{self._name} answers {self._slots.count - free} requests, and {len(self._waiting)} wait, as many "
                    f"as may. Try again in {self.wait_s()} seconds"
                )
            self._waiting.update(dict.fromkeys(generations))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="generate", daemon=True)
                self._thread.start()

    def wait_s(self) -> int:
        """Whole seconds after which a place is likely to be free."""
        return max(1, min(_LONGEST_WAIT_S, round(self._mean_s * len(self._waiting) / self._slots.count)))

    def cancel(self, generations: Sequence[Generation]) -> None:
        """Nobody waits for these any more; from any thread."""
        for generation in generations:
            generation.cancel()
        with self._lock:
            dropped = [generation for generation in generations if generation in self._waiting]
            for generation in dropped:
                del self._waiting[generation]
        for generation in dropped:
            self._end(generation, Piece(error=ServingError("The client went away", Code.CANCELLED)), "cancelled")

    def stop(self, seconds: float) -> None:
        """Let what runs go on for so many seconds, then end it in words: the server is going away."""
        self._ends = min(self._ends, time.monotonic() + seconds)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is generated and nothing waits."""
        return self._thread is None

    # The engine's thread.

    def _work(self) -> None:
        while self._admit():
            try:
                self._step()
            except ServingError as error:
                self._fail(error)
            except Exception as error:  # noqa: BLE001 - the clients get an answer, the log the traceback
                self._fail(unexpected_error(error, f"Generating with {self._name}"))

    def _admit(self) -> bool:
        """Gives free slots to those who wait; False where there is nothing to do."""
        self._look()
        with self._lock:
            while self._waiting and self._slots.free_count:
                generation = next(iter(self._waiting))
                del self._waiting[generation]
                self._slots.take(generation)
            if self._slots.free_count == self._slots.count and not self._waiting:
                self._thread = None
            active, waiting = self._slots.count - self._slots.free_count, len(self._waiting)
        if self._metrics:
            self._metrics.streams(active, waiting)
        return bool(active)

    def _look(self) -> None:
        """Ends what nobody waits for, or what may wait no longer."""
        now = time.monotonic()
        if now > self._next_look:
            self._next_look = now + _LOOK_S
            if self._ends == math.inf and self._is_retired():
                self._ends = now + self._grace_s
            self._drop_waiting(now)
        for generation in self._slots.taken():
            if reason := self._why_end(generation, now):
                self._finish(generation, Piece(error=reason, cached=generation.cached))

    def _drop_waiting(self, now: float) -> None:
        with self._lock:
            over = [(generation, reason) for generation in self._waiting if (reason := self._why_end(generation, now))]
            for generation, _ in over:
                del self._waiting[generation]
        for generation, reason in over:
            self._end(generation, Piece(error=reason), _reason(reason))

    def _why_end(self, generation: Generation, now: float) -> ServingError | None:
        if generation.is_cancelled:
            return ServingError("The client went away", Code.CANCELLED)
        if now > generation.limits.deadline:
            return DeadlineExceeded(
                f"The answer took longer than it may: {len(generation.tokens)} tokens were generated"
                if generation.slot >= 0
                else "No place became free in time. Try again later"
            )
        if now > self._ends:
            return Unavailable(f"{self._name} is being unloaded, and its answer ends here. Ask again")
        return None

    def _step(self) -> None:
        """A piece of a prompt, and a token for all whose prompt was read."""
        draws = self._read_piece()
        ready = [each for each in self._slots.taken() if not each.is_reading and each.tokens]
        ready = [each for each in ready if each not in {draw.generation for draw in draws}]
        if ready:
            draws += self._decode(ready)
        if draws:
            self._accept(draws)

    def _read_piece(self) -> list[Draw]:
        """Reads a piece of the prompt that has waited for longest; draws its first token behind the last piece."""
        reading = [each for each in self._slots.taken() if each.is_reading]
        if not reading:
            return []
        generation = min(reading, key=lambda each: each.began)
        position = generation.position
        piece = generation.prompt[position : position + PIECE]
        try:
            logits = self.calls.prefill(piece, generation.slot, position)
        except ServingError as error:
            self._slots.forget(generation)
            self._finish(generation, Piece(error=error))
            return []
        generation.position += len(piece)
        self._slots.remember(generation)
        return [] if generation.is_reading else [generation.draw(logits)]

    def _decode(self, ready: Sequence[Generation]) -> list[Draw]:
        tokens, positions = (np.zeros(self._slots.count, np.int32) for _ in range(2))
        active = np.zeros(self._slots.count, bool)
        for each in ready:
            tokens[each.slot], positions[each.slot], active[each.slot] = each.tokens[-1], each.position, True
        logits = self.calls.decode(tokens, positions, active)
        for each in ready:
            each.position += 1
        return [each.draw(logits[each.slot]) for each in ready]

    def _accept(self, draws: Sequence[Draw]) -> None:
        """Makes text of the tokens that were drawn, and sends it."""
        groups = [draw.rows() for draw in draws]
        texts = iter(self.calls.detokenize([row for group in groups for row in group]))
        for draw, group in zip(draws, groups, strict=True):
            before, with_token, *others = [next(texts) for _ in group]
            piece = draw.generation.accept(draw, new_bytes(before, with_token), others)
            if piece.is_last:
                self._finish(draw.generation, piece)
            else:
                draw.generation.send(piece)

    def _fail(self, error: ServingError) -> None:
        """A step failed: nobody's keys and values are to be trusted."""
        for generation in self._slots.taken():
            self._slots.forget(generation)
            self._finish(generation, Piece(error=error))

    def _finish(self, generation: Generation, piece: Piece) -> None:
        """Gives a slot back."""
        with self._lock:
            self._slots.give(generation)
        self._end(generation, piece, _reason(piece.error) if piece.error else piece.finish)

    def _end(self, generation: Generation, piece: Piece, reason: str) -> None:
        seconds = time.monotonic() - generation.began
        self._mean_s += 0.1 * (seconds - self._mean_s)
        if self._metrics:
            first_s = generation.first_token - generation.began
            read = min(generation.position, len(generation.prompt))
            self._metrics.generation(reason, read, len(generation.tokens), first_s, seconds)
        generation.send(piece)


def _reason(error: ServingError) -> str:
    return error.code.name.lower()
