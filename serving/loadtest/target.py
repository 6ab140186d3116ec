"""One request ready for the wire and where it goes, and how much load is put on it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from serving.errors import InvalidArgument, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator


PORTS = {"http": 80, "https": 443}
GRPC_PREDICT = "/tensorflow.serving.PredictionService/Predict"
ARRIVALS = ("constant", "poisson")
CLIENTS = 16
OPEN_CONNECTIONS = 64
CHANNELS = 4


@dataclass(frozen=True)
class Target:
    """One request that is sent again and again.

    Attributes:
        address: REST: a URL such as `http://127.0.0.1:8501`; gRPC: `HOST:PORT` or `unix:/PATH`. With TLS `https://...`
            and `grpcs://HOST:PORT`.
        path: REST: path of the URL; gRPC: full name of the method.
        body: The request's body, encoded once.
        transport: `rest` or `grpc`.
        token: Bearer token; empty for none.
        timeout_s: When a request without an answer counts as failed.
        model: Name of the model, for the result.
        signature: Its signature, for the result.
        ca: PEM file of the authorities to trust with TLS; empty for the usual ones.
        connect_timeout_s: When a server that cannot be connected to, before the first request, counts as absent.
    """

    address: str
    path: str
    body: bytes
    transport: Literal["rest", "grpc"] = "rest"
    token: str = ""
    timeout_s: float = 10.0
    model: str = ""
    signature: str = ""
    ca: str = ""
    connect_timeout_s: float = 10.0

    @property
    def host(self) -> str:
        """Host of a URL."""
        return self._split()[1]

    @property
    def port(self) -> int:
        """Port of a URL, its scheme's where it names none."""
        return self._split()[2]

    @property
    def tls(self) -> bool:
        """Whether the URL asks for TLS."""
        return self._split()[0] == "https"

    def _split(self) -> tuple[str, str, int]:
        try:
            url = urlsplit(self.address)
            return url.scheme, url.hostname or "", url.port or PORTS[url.scheme]
        except (ValueError, KeyError) as error:
            raise InvalidArgument(
                f"There is no server at this address.\nExpected: http://HOST:PORT\nReceived: {self.address}"
            ) from error

    def http(self) -> bytes:
        """The whole HTTP request: it is the same every time."""
        self._split()  # raises for an address that is none
        url = urlsplit(self.address)
        token = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        head = (
            f"POST {url.path.rstrip('/')}{self.path} HTTP/1.1\r\nHost: {url.netloc}\r\n"
            f"Content-Type: application/json\r\n{token}Content-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode("latin-1") + self.body


def unreachable_error(target: Target, error: object) -> Unavailable:
    """The error of a server that is not there."""
    return Unavailable(
        f"The model server at {target.address} does not answer.\n"
        f"Expected: a server of TensorFlow Serving's protocol\nReceived: {error}\n"
        "Next: start one with `keraspipe serve`, or give its address with --url or --grpc"
    )


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
            raise _load_error("rate or concurrency, not both", f"rate {self.rate:g}, concurrency {self.concurrency}")
        for name in ("rate", "concurrency", "duration_s", "connections"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise _load_error(f"{name} above 0", f"{value:g}")
        if self.warmup_s < 0:
            raise _load_error("warmup_s of at least 0", f"{self.warmup_s:g}")
        if self.arrivals not in ARRIVALS:
            raise _load_error(f"arrivals {' or '.join(ARRIVALS)}", self.arrivals)

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


def _load_error(expected: str, received: str) -> InvalidArgument:
    return InvalidArgument(f"This load cannot be made.\nExpected: {expected}\nReceived: {received}")
