"""The client for code that runs in an event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, TypeVar

from serving.clients.call import Pause
from serving.clients.conversation import Conversation, Question
from serving.clients.dialect import of_endpoint
from serving.clients.endpoint import endpoint
from serving.clients.retry import ATTEMPTS
from serving.clients.target import Target
from serving.errors import ServingError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    import numpy as np

    from serving.clients.call import AsyncTransport, Flow, Send
    from serving.clients.endpoint import Endpoint
    from serving.clients.reply import Classes, VersionStatus
    from serving.core.signature import Signature

T = TypeVar("T")
DEFAULT = "serving_default"


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
        found = endpoint(address, token, ca, certificate, insecure=insecure)
        self._says = Conversation(of_endpoint(found), timeout_s, attempts)
        self._transport = _transport(found)

    async def predict(
        self,
        name: str,
        inputs: Any,
        *,
        signature: str = DEFAULT,
        version: int | None = None,
        label: str | None = None,
        outputs: Sequence[str] | None = None,
        timeout_s: float | None = None,
    ) -> dict[str, np.ndarray]:
        """As `Client.predict`."""
        question = Question(Target(name, version, label), inputs, signature, outputs)
        return await self._run(self._says.predict(question, timeout_s))

    async def classify(
        self,
        name: str,
        examples: Iterable[Any],
        *,
        context: Any = None,
        signature: str = DEFAULT,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = None,
    ) -> Classes:
        """As `Client.classify`."""
        target = Target(name, version, label)
        return await self._run(self._says.classify(target, signature, examples, context, timeout_s))

    async def regress(
        self,
        name: str,
        examples: Iterable[Any],
        *,
        context: Any = None,
        signature: str = DEFAULT,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = None,
    ) -> np.ndarray:
        """As `Client.regress`."""
        target = Target(name, version, label)
        return await self._run(self._says.regress(target, signature, examples, context, timeout_s))

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
        target = Target(name, version, label)
        return await self._run(self._says.multi_inference(target, tasks, examples, context, timeout_s))

    async def metadata(
        self, name: str, *, version: int | None = None, label: str | None = None, timeout_s: float | None = None
    ) -> Mapping[str, Signature]:
        """As `Client.metadata`."""
        return await self._run(self._says.metadata(Target(name, version, label), timeout_s))

    async def status(
        self, name: str, *, version: int | None = None, timeout_s: float | None = None
    ) -> list[VersionStatus]:
        """As `Client.status`."""
        return await self._run(self._says.status(Target(name, version), timeout_s))

    async def wait_until_ready(
        self, name: str, timeout_s: float | None = None, *, version: int | None = None
    ) -> list[VersionStatus]:
        """As `Client.wait_until_ready`."""
        return await self._run(self._says.ready(Target(name, version), timeout_s))

    async def reload(self, config: Any, *, timeout_s: float | None = None) -> None:
        """As `Client.reload`."""
        await self._run(self._says.reload(config, timeout_s))

    async def close(self) -> None:
        """Close its connections."""
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
                given = await self._take(step)
            except ServingError as error:
                take, given = flow.throw, error

    async def _take(self, step: Send | Pause) -> bytes:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return b""
        return await self._transport.send(step)


def _transport(found: Endpoint) -> AsyncTransport:
    if found.rest:
        from serving.clients.rest_transport import AsyncRestTransport

        return AsyncRestTransport(found)
    from serving.clients.rpc_transport import AsyncRpcTransport

    return AsyncRpcTransport(found)
