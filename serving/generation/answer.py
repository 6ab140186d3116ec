"""One answer that is being generated: what is asked, how far it is, and what it gives piece by piece."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.generation.sampling import Sampler, Sampling, log_probabilities
from serving.generation.text import TextAssembler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from serving.errors import ServingError


@dataclass(frozen=True)
class TokenLogprob:
    """A token with the logarithm of its probability.

    Attributes:
        content: Its bytes.
        logprob: Natural logarithm, before temperature and top_p.
        top: The most likely ones in its place.
    """

    content: bytes
    logprob: float
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class Piece:
    """What is new of an answer.

    Attributes:
        text: That can be shown.
        tokens: How many tokens were generated since the last piece.
        logprobs: Of these tokens, where they were asked for.
        finish: Why the answer ends here: `stop` or `length`; empty where it goes on or failed.
        error: Why it ends without having been finished.
        cached: Tokens of the prompt that were in the cache already; with the last piece.
    """

    text: str = ""
    tokens: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()
    finish: str = ""
    error: ServingError | None = None
    cached: int = 0

    @property
    def is_last(self) -> bool:
        """Whether nothing follows."""
        return bool(self.finish) or self.error is not None


@dataclass(frozen=True)
class Limits:
    """When an answer ends.

    Attributes:
        tokens: Generated at most, at least 1.
        stops: Texts that end it.
        end: Tokens that end it.
        deadline: By `time.monotonic`.
    """

    tokens: int
    stops: tuple[str, ...] = ()
    end: frozenset[int] = frozenset()
    deadline: float = math.inf


class Generation:
    """One answer; the engine's thread alone changes it, except for `cancel`.

    Args:
        prompt: Tokens, at least one.
        sampling: How tokens are drawn.
        limits: When it ends.
        send: Takes each piece, in the engine's thread; must return at once.
        choice: Which of the answers to one prompt it is.
        logprobs: How many likely tokens are given for each token; None for no such thing.

    Attributes:
        slot: Where its keys and values are; -1 while it waits.
        position: How many tokens have theirs there.
        tokens: That were generated.
        is_cancelled: Whether nobody waits for it any more.
        cached: Tokens of the prompt that need not be read again.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        limits: Limits,
        send: Callable[[Piece], None],
        choice: int = 0,
        logprobs: int | None = None,
    ) -> None:
        self.prompt, self.limits, self.send = tuple(prompt), limits, send
        self.slot, self.position, self.cached = -1, 0, 0
        self.tokens: list[int] = []
        self.is_cancelled = False
        self.began, self.first_token = time.monotonic(), math.nan
        self._logprobs = logprobs
        self._sampler = Sampler(sampling, choice)
        self._text = TextAssembler(limits.stops)

    def cancel(self) -> None:
        """Nobody waits for it any more; from any thread."""
        self.is_cancelled = True

    @property
    def is_reading(self) -> bool:
        """Whether a part of the prompt is still to be read."""
        return self.position < len(self.prompt)

    def draw(self, logits: np.ndarray) -> Draw:
        """Draws the next token from (vocabulary,) logits."""
        if not self.tokens:
            self.first_token = time.monotonic()
        token = self._sampler.draw(logits)
        top = None if self._logprobs is None else log_probabilities(logits, token, self._logprobs)
        draw = Draw(self, token, self.tokens[-_BEFORE:], top, ends=token in self.limits.end)
        if not draw.ends:
            self.tokens.append(token)
        return draw

    def accept(self, draw: Draw, content: bytes, logprobs: Sequence[bytes]) -> Piece:
        """The piece of a token, with its bytes, and those of the tokens of its log probabilities."""
        text = "" if draw.ends else self._text.feed(content)
        finish = ""
        if draw.ends or self._text.is_stopped:
            finish = "stop"
        elif len(self.tokens) >= self.limits.tokens:
            finish = "length"
        if finish:
            text += self._text.finish()
        tokens = int(not draw.ends)
        return Piece(text, tokens, draw.name_logprobs(logprobs) if tokens else (), finish, cached=self.cached)


_BEFORE = 4  # tokens before the new one that its text may depend on


@dataclass(frozen=True)
class Draw:
    """A token that was drawn and is not text yet.

    Attributes:
        generation: Whose.
        token: The token.
        before: Those before it, a few.
        top: The logarithm of its probability, and tokens that are likely with theirs; None where nobody wants them.
        ends: Whether it ends the answer, and is no text.
    """

    generation: Generation
    token: int
    before: list[int]
    top: tuple[float, list[tuple[int, float]]] | None
    ends: bool

    def rows(self) -> list[list[int]]:
        """Rows of tokens whose texts are needed: without the token, with it, and each that has a log probability."""
        singles = [] if self.top is None else [[self.token], *([token] for token, _ in self.top[1])]
        return [self.before, [*self.before, self.token], *singles]

    def name_logprobs(self, contents: Sequence[bytes]) -> tuple[TokenLogprob, ...]:
        """The token's log probability, by the texts of the rows behind the first two."""
        if self.top is None:
            return ()
        chosen, likely = self.top
        top = tuple(TokenLogprob(content, number) for content, (_, number) in zip(contents[1:], likely, strict=True))
        return (TokenLogprob(contents[0], chosen, top),)


def new_bytes(before: bytes, after: bytes) -> bytes:
    """What a token adds to the bytes of those before it."""
    return after.removeprefix(before)
