"""Sends requests when they are due, or when the last is answered, and takes the times.

One thread with uvloop and requests that were encoded before: the server under test shares the machine. Before the load
the request is sent once (`check_target`): a refused one would only measure how fast a server refuses.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from array import array
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from serving.errors import Code, InvalidArgument
from serving.loadtest import rest
from serving.loadtest.pace import ClosedLoop, Connection, OpenLoop
from serving.loadtest.result import Result
from serving.loadtest.target import CHANNELS, OPEN_CONNECTIONS, unreachable_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.loadtest.target import Load, Target


_CALLS_PER_CHANNEL = 64
_SWEEP_S = 0.1
TIMEOUT = frozenset({"timeout", "DEADLINE_EXCEEDED"})
_OK = 200
_MAX_SHOWN = 300  # characters


def run(target: Target, load: Load, stop: threading.Event | None = None) -> Result:
    """Put load on a server and measure.

    Args:
        target: The request and the server.
        load: How much, and for how long.
        stop: Ends the run early when set; so does Ctrl-C in the main thread.

    Returns:
        What was measured, also after Ctrl-C. Requests that were due but not sent at the end count with the time they
        had waited by then.

    Raises:
        Unavailable: Nobody listens at the start.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_Run(target, load, stop).measure())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop
    return uvloop.new_event_loop


class _Run:
    """One run: connections, the clock, and what was counted."""

    def __init__(self, target: Target, load: Load, stop: threading.Event | None) -> None:
        self._target = target
        self._load = load
        self._stop = stop or threading.Event()
        self._latency = array("f")  # seconds, 4 bytes each: 144 MB of an hour at 10,000 a second
        self._errors: Counter[str] = Counter()
        self._ended = asyncio.Event()
        self._last = 0.0
        self._cpu: list[float] = []  # seconds of this process when the part that counts began and ended

    async def measure(self) -> Result:
        connections = self._connections()
        loop = asyncio.get_running_loop()
        main = threading.current_thread() is threading.main_thread()
        if main:
            loop.add_signal_handler(signal.SIGINT, self._stop.set)
        try:
            await self._open(connections)
            return await self._apply_load(connections)
        finally:
            if main:
                loop.remove_signal_handler(signal.SIGINT)
            await asyncio.gather(*(connection.close() for connection in connections))

    def _connections(self) -> list[Connection]:
        if self._target.transport == "rest":
            count = self._load.clients if self._load.rate is None else self._load.connections or OPEN_CONNECTIONS
            return [*rest.create_connections(self._target, count, self._record_end)]
        from serving.loadtest import grpc

        count = self._load.connections or CHANNELS
        calls = self._load.clients if self._load.rate is None else count * _CALLS_PER_CHANNEL
        return [*grpc.create_connections(self._target, calls, count, self._record_end)]

    async def _open(self, connections: list[Connection]) -> None:
        try:
            await asyncio.gather(*(connection.open() for connection in connections))
        except OSError as error:
            raise unreachable_error(self._target, error) from error

    async def _apply_load(self, connections: list[Connection]) -> Result:
        start = time.monotonic()
        self._counting_from = start + self._load.warmup_s
        self._end = self._counting_from + self._load.duration_s
        kind = ClosedLoop if self._load.rate is None else OpenLoop
        self._pace = kind(connections, self._load, start, self._end)
        self._pace.start()
        await self._watch(connections)
        self._pace.close()
        return self._result(connections, min(self._end, time.monotonic()))

    async def _watch(self, connections: list[Connection]) -> None:
        """Wait for the end and the last answers; count CPU seconds of the part that counts, end what takes too long."""
        while not self._stop.is_set():
            now = time.monotonic()
            if len(self._cpu) < 1 and now >= self._counting_from:
                self._begin(connections)
            if len(self._cpu) == 1 and now >= self._end:
                self._cpu.append(time.process_time())
            if now >= self._end:
                self._pace.send_due()
            if now >= self._end and not self._pace.under_way:
                break
            for connection in connections:
                connection.expire(now)
            marks = [mark - now for mark in (self._counting_from, self._end) if mark > now]
            await asyncio.sleep(max(min([_SWEEP_S, *marks]), 0.001))
        self._pace.stopped = True

    def _begin(self, connections: list[Connection]) -> None:
        self._cpu.append(time.process_time())
        for connection in connections:
            connection.received = 0

    def _record_end(self, connection: Connection, error: str) -> None:
        now = time.monotonic()
        if connection.due >= self._counting_from:
            self._last = now
            if error:
                self._errors[error] += 1
            if not error or error in TIMEOUT:  # other failures come too soon to say how long an answer takes
                self._latency.append(now - connection.due)
        self._pace.release(connection, now)

    def _result(self, connections: list[Connection], end: float) -> Result:
        unsent = self._pace.unsent(self._counting_from, end)
        self._latency.extend(end - due for due in unsent)
        counted_s = max(self._last - self._counting_from, end - self._counting_from, 1e-9)
        if len(self._cpu) == 1:
            self._cpu.append(time.process_time())
        share = (self._cpu[1] - self._cpu[0]) / max(end - self._counting_from, 1e-9) if self._cpu else 0.0
        failed = sum(self._errors.values())
        late = sum(self._errors[name] for name in TIMEOUT)
        requests = len(self._latency) - len(unsent) - late + failed
        return Result(
            target=self._target,
            load=self._load,
            latency=np.frombuffer(self._latency, np.float32),
            requests=requests,
            errors=dict(self._errors),
            counted_s=counted_s,
            bytes_received=sum(connection.received for connection in connections),
            unsent=len(unsent),
            waited=self._pace.waited / max(requests, 1),
            behind_schedule=self._pace.behind / max(requests, 1),
            generator_cpu=share,
            interrupted=self._stop.is_set(),
        )


def check_target(target: Target) -> None:
    """Send the request once.

    Raises:
        InvalidArgument: It was refused; the text holds what was sent and what came back.
        Unavailable: Nobody listens.
    """
    answer = _probe_rest(target) if target.transport == "rest" else _probe_grpc(target)
    if answer:
        sent = _shorten(target.body) if target.transport == "rest" else f"{len(target.body)} bytes of PredictRequest"
        raise InvalidArgument(
            f"{target.model} refused the request of the load test: {sent}\nExpected: an answer\nReceived: {answer}\n"
            "Next: pass one that it takes, with --input FILE or --input NAME=VALUE"
        )


def _probe_rest(target: Target) -> str:
    import httpx

    from serving.loadtest.rest import create_tls_context

    headers = {"Content-Type": "application/json"}
    if target.token:
        headers["Authorization"] = f"Bearer {target.token}"
    try:
        url = target.address.rstrip("/") + target.path
        verify = create_tls_context(target) or False  # without TLS there is nothing to verify, nor to load for it
        # As the load goes: past every proxy.
        with httpx.Client(verify=verify, trust_env=False, timeout=target.timeout_s) as client:
            reply = client.post(url, content=target.body, headers=headers)
    except httpx.TimeoutException:
        return f"nothing within {target.timeout_s:g} s"
    except httpx.RequestError as error:
        raise unreachable_error(target, error) from error
    return "" if reply.status_code == _OK else f"HTTP {reply.status_code} {_shorten(reply.content)}"


def _probe_grpc(target: Target) -> str:
    import grpc

    from serving.client.transports import open_channel
    from serving.loadtest.grpc import parse_address

    metadata = (("authorization", f"Bearer {target.token}"),) if target.token else ()
    with open_channel(grpc, parse_address(target)) as channel:
        try:
            channel.unary_unary(target.path)(target.body, timeout=target.timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            if error.code().value[0] == Code.UNAVAILABLE:
                raise unreachable_error(target, error.details()) from error
            return f"{error.code().name} {(error.details() or '')[:_MAX_SHOWN]}"
    return ""


def _shorten(content: bytes) -> str:
    text = " ".join(content[:_MAX_SHOWN].decode("utf-8", "replace").split())
    return f"{text} ... ({len(content)} bytes)" if len(content) > _MAX_SHOWN else text
