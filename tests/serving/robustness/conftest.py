"""Ports without models on an event loop of their own, and servers that hostile clients may ask."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from pathlib import Path

import grpc
import pytest
import uvloop

from serving.core.work import MemoryBudget
from serving.rest.parser import Response
from serving.rest.server import Connections
from serving.wire import protos


class Port:
    """A REST port whose answers the test decides about.

    A request to `/wait` is answered when the test says so (`release`), all others at once, with their path and body.
    """

    def __init__(self, limit, options):
        self.budget = MemoryBudget(limit)
        self.requests, self.held = [], []
        self._options = options
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.call(self._listen)

    def call(self, function, *arguments):
        """Run something on the event loop."""

        async def run():
            result = function(*arguments)
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    async def _listen(self):
        self.connections = Connections(self._handle, self.budget, **self._options)
        self.server = await self._loop.create_server(self.connections.protocol, "127.0.0.1", 0)
        self.address = self.server.sockets[0].getsockname()

    def _handle(self, request, reply):
        self.requests.append(request)
        answer = Response(200, f"{request.path} ".encode() + request.body, "text/plain")
        if request.path == "/wait":
            self.held.append(lambda: reply(answer))
        elif request.path == "/bug":
            raise RuntimeError("a bug")
        elif request.path.startswith("/large"):
            reply(Response(200, bytes(int(request.path[6:])), "text/plain"))
        else:
            reply(answer)

    def release(self):
        """Answer the requests that wait."""
        self.until(lambda: self.held)
        held, self.held = self.held, []
        for answer in held:
            self.call(answer)

    def until(self, condition):
        """Wait for a condition."""
        end = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < end, "The condition did not come true in time"
            time.sleep(0.005)

    @property
    def bytes_held(self):
        """Bytes taken from the budget."""
        return self.call(lambda: self.budget._held)

    @property
    def open(self):
        """How many clients there are."""
        return self.call(lambda: len(self.connections._open))

    def close(self):
        self.call(self.server.close)
        self.call(self.connections.abort)
        self.call(asyncio.sleep, 0.01)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def port():
    """Opens ports."""
    opened = []

    def make(limit=2**30, **options):
        opened.append(Port(limit, options))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def dial():
    """Connects to an address."""
    made = []

    def connect(address):
        made.append(socket.create_connection(address, timeout=20))
        return made[-1]

    yield connect
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def read_all():
    """Everything that a server sends until it closes."""

    def read(connection):
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
        return b"".join(parts)

    return read


@pytest.fixture(scope="session")
def hostile(served, run_server):
    """A server of `half` and `echo` for requests that mean ill; its log must stay free of tracebacks."""
    with run_server(served) as running:
        yield running
        assert running.process.poll() is None, "The server died"
        assert [] == complaints(running)


def log_of(server):
    """A server's log, which is a file without a name."""
    return Path(f"/proc/{server.process.pid}/fd/2").open(errors="replace")


def complaints(server, log=None):
    """What a server's log says of failures that nobody foresaw; `log` where the process is gone."""
    with log or log_of(server) as file:
        text = file.read()
    words = (
        "Traceback",
        "unexpectedly",
        "never retrieved",
        "Fatal error",
        "Exception in callback",
        "Check failed",
        "without an answer",
    )
    return [line for line in text.splitlines() if any(word in line for word in words)]


@pytest.fixture(scope="session")
def complained():
    """`complaints`, for tests with a server of their own."""
    return complaints


@pytest.fixture(scope="session")
def server_log():
    """`log_of`, for tests whose server ends."""
    return log_of


def address(server):
    """Host and port of a server's REST API."""
    host, port = server.rest.removeprefix("http://").split(":")
    return host, int(port)


@pytest.fixture(scope="session")
def rest_address():
    """`address`, for tests."""
    return address


@pytest.fixture(scope="session")
def exchange():
    """Sends bytes on a connection of their own and gives all that comes back."""

    def send(server, data):
        with socket.create_connection(address(server), timeout=60) as connection:
            with contextlib.suppress(OSError):  # it may have been refused already
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            parts = []
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(1 << 16):
                    parts.append(part)
            return b"".join(parts)

    return send


@pytest.fixture(scope="session")
def is_well(exchange):
    """Asserts that a server gives a right answer over both transports."""
    body = b'{"instances": [2.0, 3.0]}'
    asked = b"POST /v1/models/half:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    def check(server, values=(4.0, 4.5)):
        answer = exchange(server, asked)
        assert answer.startswith(b"HTTP/1.1 200 OK"), answer
        assert {"predictions": list(values)} == json.loads(answer.partition(b"\r\n\r\n")[2])
        client = PredictClient(server.grpc)
        assert list(values) == client.ask([2.0, 3.0])
        client.close()

    return check


class PredictClient:
    """A gRPC client of `half`."""

    def __init__(self, target):
        self.channel = grpc.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)])
        self.predict = self.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")

    def ask(self, values, model="half", timeout=60, signature=""):
        request = protos.load("apis.predict_pb2").PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = model, signature
        request.inputs["x"].dtype = 1
        request.inputs["x"].tensor_shape.dim.add().size = len(values)
        request.inputs["x"].float_val.extend(values)
        answer = self.predict(request.SerializeToString(), timeout=timeout)
        response = protos.load("apis.predict_pb2").PredictResponse.FromString(answer)
        return list(response.outputs["y"].float_val)

    def close(self):
        self.channel.close()


@pytest.fixture(scope="session")
def predict_client():
    """Makes gRPC clients of `half`."""
    return PredictClient
