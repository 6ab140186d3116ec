"""How much is asked, and when."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

ARRIVALS = ("constant", "poisson")
CLIENTS = 16
OPEN_CONNECTIONS = 64
CHANNELS = 4


@dataclass(frozen=True)
class Load:
    """An open loop at a rate, or a closed loop of clients.

    Attributes:
        rate: Requests per second; None for a closed loop.
        concurrency: Clients of a closed loop; None for 16.
        duration_s: How long requests are sent that count.
        warmup_s: How long others are sent before.
        arrivals: Spacing of the open loop: `poisson`, as many independent users ask, or `constant`.
        connections: REST: the most requests under way in an open loop, one per connection; None for 64.
            gRPC: channels; None for 4.
        seed: Of the Poisson arrivals.
    """

    rate: float | None = None
    concurrency: int | None = None
    duration_s: float = 10.0
    warmup_s: float = 1.0
    arrivals: str = "poisson"
    connections: int | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        if self.rate is not None and self.concurrency is not None:
            raise _refused("rate or concurrency, not both", f"rate {self.rate:g}, concurrency {self.concurrency}")
        for name in ("rate", "concurrency", "duration_s", "connections"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise _refused(f"{name} above 0", f"{value:g}")
        if self.warmup_s < 0:
            raise _refused("warmup_s of at least 0", f"{self.warmup_s:g}")
        if self.arrivals not in ARRIVALS:
            raise _refused(f"arrivals {' or '.join(ARRIVALS)}", self.arrivals)

    @property
    def clients(self) -> int:
        """Clients of the closed loop."""
        return self.concurrency or CLIENTS

    def due(self, start: float) -> Iterator[float]:
        """When the requests of the open loop are due, in seconds of `start`'s clock; endless."""
        assert self.rate is not None
        chance = random.Random(self.seed)  # noqa: S311 - no secret
        constant = self.arrivals == "constant"
        # Half a gap first: else rounding decides whether the request at the very end of the time still counts.
        at = start + (0.5 / self.rate if constant else 0.0)
        while True:
            yield at
            at += 1 / self.rate if constant else chance.expovariate(self.rate)


def _refused(expected: str, received: str) -> InvalidArgument:
    return InvalidArgument(f"This load cannot be made.\nExpected: {expected}\nReceived: {received}")
