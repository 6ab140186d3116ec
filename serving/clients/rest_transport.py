"""HTTP/1.1 with kept connections, for both kinds of client."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

from serving.clients import failure
from serving.clients.call import Deadline
from serving.clients.per_loop import PerLoop
from serving.clients.rest_messages import is_good, refusal

if TYPE_CHECKING:
    import httpx

    from serving.clients.call import Send
    from serving.clients.endpoint import Endpoint
    from serving.errors import ServingError

_CONNECTIONS = 100  # more requests wait for one of them
_KEPT_S = 30.0  # idle ones are closed then


class RestTransport:
    """Threads share its pool of connections."""

    def __init__(self, endpoint: Endpoint) -> None:
        import httpx

        self._where = endpoint.where
        self._client = httpx.Client(**_options(endpoint))

    def send(self, step: Send) -> bytes:
        """See `Transport`."""
        import httpx

        deadline = Deadline(step.timeout_s)
        response = None
        try:
            response = self._client.send(_request(self._client, self._where, step, _Left(deadline)), stream=True)
            content = b"".join(_in_time(response, deadline))
        except (httpx.RequestError, ssl.SSLError) as error:  # TLS 1.3 refuses a client after the handshake
            raise _failed(error, self._where, step, begun=response is not None) from error
        finally:
            if response is not None:
                response.close()
        return _good(response, content, self._where)

    def close(self) -> None:
        """See `Transport`."""
        self._client.close()


class AsyncRestTransport:
    """The tasks of a loop share its pool of connections."""

    def __init__(self, endpoint: Endpoint) -> None:
        import httpx

        self._where = endpoint.where
        options = _options(endpoint)
        self._clients = PerLoop(lambda: httpx.AsyncClient(**options))

    async def send(self, step: Send) -> bytes:
        """See `AsyncTransport`."""
        import httpx

        client = self._clients.get()
        response = None
        try:
            async with asyncio.timeout(step.timeout_s):
                response = await client.send(_request(client, self._where, step, {}), stream=True)
                content = await response.aread()
        except (httpx.RequestError, ssl.SSLError) as error:  # TLS 1.3 refuses a client after the handshake
            raise _failed(error, self._where, step, begun=response is not None) from error
        except TimeoutError as error:
            raise failure.late(self._where, step.allowed_s) from error
        finally:
            if response is not None:
                await response.aclose()
        return _good(response, content, self._where)

    async def close(self) -> None:
        """See `AsyncTransport`."""
        client = self._clients.take()
        if client is not None:
            await client.aclose()


class _Left(dict[str, float]):
    """httpcore's time limits, each read when its phase begins: all of them end at the one deadline."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def get(self, _key: str, _default: Any = None) -> float:
        return max(self._deadline.left_s, 0.001)


def _options(endpoint: Endpoint) -> dict[str, Any]:
    import httpx

    headers = {"Content-Type": "application/json"}
    if endpoint.token:
        headers["Authorization"] = f"Bearer {endpoint.token}"
    return {
        "headers": headers,
        "verify": _tls(endpoint) if endpoint.secure else True,
        "limits": httpx.Limits(
            max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS, keepalive_expiry=_KEPT_S
        ),
        "trust_env": not endpoint.is_local,  # no proxy stands between a machine and itself
        "timeout": None,
    }


def _tls(endpoint: Endpoint) -> Any:
    import httpx

    from serving.clients.values import refused

    try:
        context = ssl.create_default_context(cafile=endpoint.ca) if endpoint.ca else httpx.create_ssl_context()
        if endpoint.certificate:
            context.load_cert_chain(*endpoint.certificate)
    except (ssl.SSLError, OSError) as error:
        raise refused("The certificate", "PEM files; the key without password", error, "check the files") from error
    return context


def _request(client: Any, where: str, step: Send, limits: dict[str, float]) -> httpx.Request:
    method = "GET" if step.body is None else "POST"
    return client.build_request(method, where + step.path, content=step.body, extensions={"timeout": limits})


def _in_time(response: httpx.Response, deadline: Deadline) -> Any:
    """The parts of an answer; a server that sends them one by one does not get more time for it."""
    import httpx

    for part in response.iter_bytes():
        if deadline.left_s <= 0:
            raise httpx.ReadTimeout("the answer was not complete", request=response.request)
        yield part


def _failed(error: httpx.RequestError | ssl.SSLError, where: str, step: Send, *, begun: bool) -> ServingError:
    import httpx

    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, httpx.TimeoutException):
        return failure.late(where, step.allowed_s, reason)
    return failure.broken_off(where, reason) if begun else failure.unreachable(where, reason)


def _good(response: httpx.Response, content: bytes, where: str) -> bytes:
    if not is_good(response.status_code):
        raise refusal(response.status_code, content, where)
    return content
