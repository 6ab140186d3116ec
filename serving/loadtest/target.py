"""What is asked: one request, ready for the wire, and where it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from serving.errors import InvalidArgument, Unavailable

PORTS = {"http": 80, "https": 443}
GRPC_PREDICT = "/tensorflow.serving.PredictionService/Predict"


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
        self._split()  # an address that is none is told here
        url = urlsplit(self.address)
        token = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        head = (
            f"POST {url.path.rstrip('/')}{self.path} HTTP/1.1\r\nHost: {url.netloc}\r\n"
            f"Content-Type: application/json\r\n{token}Content-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode("latin-1") + self.body


def unreachable(target: Target, error: object) -> Unavailable:
    """The error of a server that is not there."""
    return Unavailable(
        f"The model server at {target.address} does not answer.\n"
        f"Expected: a server of TensorFlow Serving's protocol\nReceived: {error}\n"
        "Next: start one with `keraspipe serve`, or give its address with --url or --grpc"
    )
