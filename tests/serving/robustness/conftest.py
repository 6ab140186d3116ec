"""Connections over a real socket, on an event loop of their own, without models: TensorFlow is not imported."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
import uvloop

from serving.core.budget import Budget
from serving.rest.connections import Connections
from serving.rest.message import Response


class Port:
    """A REST port whose answers the test decides about.

    A request to `/wait` is answered when the test says so (`release`), all others at once, with their path and body.
    """

    def __init__(self, limit, options):
        self.budget = Budget(limit)
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
