"""The asynchronous client, for code that runs in an event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, TypeVar

from serving.client.calls import ATTEMPTS, Pause
from serving.client.conversation import ClientProtocol, PredictArgs, codec_for
from serving.client.endpoint import parse_endpoint
from serving.client.types import ModelRef
from serving.errors import ServingError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    import numpy as np

    from serving.client.calls import AsyncTransport, Flow, Send
    from serving.client.endpoint import Endpoint
    from serving.client.types import Classes, VersionStatus
    from serving.core.signature import Signature

T = TypeVar("T")
DEFAULT_SIGNATURE = "serving_default"


class AsyncClient:
    """As `Client`, with the same arguments; each method is a coroutine.

    The tasks of a loop may share it, and it may be used in one loop after another.
    """

    def __init__(
        self,
        address: str,
        *,
        token: str | None = None,
        timeout_s: float = 60.0,
        attempts: int = ATTEMPTS,
        ca: str | os.PathLike[str] | None = None,
        certificate: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
        insecure: bool = False,
    ) -> None:
        server = parse_endpoint(address, token, ca, certificate, insecure=insecure)
        self._protocol = ClientProtocol(codec_for(server), timeout_s, attempts)
        self._transport = _open_transport(server)

    async def predict(
        self,
        name: str,
        inputs: Any,
        *,
        signature: str = DEFAULT_SIGNATURE,
        version: int | None = None,
        label: str | None = None,
        outputs: Sequence[str] | None = None,
        timeout_s: float | None = None,
    ) -> dict[str, np.ndarray]:
        """As `Client.predict`."""
        args = PredictArgs(ModelRef(name, version, label), inputs, signature, outputs)
        return await self._run(self._protocol.predict(args, timeout_s))

    async def classify(
        self,
        name: str,
        examples: Iterable[Any],
        *,
        context: Any = None,
        signature: str = DEFAULT_SIGNATURE,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = None,
    ) -> Classes:
        """As `Client.classify`."""
        ref = ModelRef(name, version, label)
        return await self._run(self._protocol.classify(ref, signature, examples, context, timeout_s))

    async def regress(
        self,
        name: str,
        examples: Iterable[Any],
        *,
        context: Any = None,
        signature: str = DEFAULT_SIGNATURE,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = None,
    ) -> np.ndarray:
        """As `Client.regress`."""
        ref = ModelRef(name, version, label)
        return await self._run(self._protocol.regress(ref, signature, examples, context, timeout_s))

    async def multi_inference(
        self,
        name: str,
        examples: Iterable[Any],
        tasks: Mapping[str, str],
        *,
        context: Any = None,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = None,
    ) -> dict[str, Any]:
        """As `Client.multi_inference`."""
        ref = ModelRef(name, version, label)
        return await self._run(self._protocol.multi_inference(ref, tasks, examples, context, timeout_s))

    async def metadata(
        self, name: str, *, version: int | None = None, label: str | None = None, timeout_s: float | None = None
    ) -> Mapping[str, Signature]:
        """As `Client.metadata`."""
        return await self._run(self._protocol.metadata(ModelRef(name, version, label), timeout_s))

    async def status(
        self, name: str, *, version: int | None = None, timeout_s: float | None = None
    ) -> list[VersionStatus]:
        """As `Client.status`."""
        return await self._run(self._protocol.status(ModelRef(name, version), timeout_s))

    async def wait_until_ready(
        self, name: str, timeout_s: float | None = None, *, version: int | None = None
    ) -> list[VersionStatus]:
        """As `Client.wait_until_ready`."""
        return await self._run(self._protocol.ready(ModelRef(name, version), timeout_s))

    async def reload(self, config: Any, *, timeout_s: float | None = None) -> None:
        """As `Client.reload`."""
        await self._run(self._protocol.reload(config, timeout_s))

    async def close(self) -> None:
        """Close its connections; later calls in this loop are a FailedPrecondition."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _run(self, flow: Flow[T]) -> T:
        take, given = flow.send, None  # type: Any, Any  # a generator's first send is None
        while True:
            try:
                step = take(given)
            except StopIteration as end:
                return end.value
            take = flow.send
            try:
                given = await self._perform(step)
            except ServingError as error:
                take, given = flow.throw, error

    async def _perform(self, step: Send | Pause) -> bytes:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return b""
        return await self._transport.send(step)


def _open_transport(endpoint: Endpoint) -> AsyncTransport:
    if endpoint.rest:
        from serving.client.transports import AsyncRestTransport

        return AsyncRestTransport(endpoint)
    from serving.client.transports import AsyncGrpcTransport

    return AsyncGrpcTransport(endpoint)
