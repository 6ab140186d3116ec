"""Connections of both kinds of client: HTTP/1.1 with keep-alive, and gRPC channels."""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import TYPE_CHECKING, Any

from serving.client import errors
from serving.client.calls import Deadline
from serving.client.deadlines import current_deadline, keep_deadlines
from serving.client.endpoint import PerLoop
from serving.client.rest_messages import is_good, read_error
from serving.errors import Code, ServingError, error_from_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from serving.client.calls import Send
    from serving.client.endpoint import Endpoint


_CONNECTIONS = 100  # more requests wait for one of them
_LOST = re.compile(r"Socket closed|[Cc]onnection reset|recvmsg|Broken pipe|Stream removed|Endpoint clos")  # by gRPC
_KEPT_S = 30.0  # idle ones are closed then
ChannelOptions = list[tuple[str, int]]


class RestTransport:
    """Threads share its pool of connections."""

    def __init__(self, endpoint: Endpoint) -> None:
        import httpx

        self._where = endpoint.where
        try:
            self._client = httpx.Client(**_http_options(endpoint))
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise errors.setting_error(error) from error
        keep_deadlines(self._client)

    def send(self, step: Send) -> bytes:
        """See `Transport`."""
        import httpx

        if self._client.is_closed:
            raise errors.closed_error()
        deadline = Deadline(step.timeout_s)
        current_deadline.set(deadline)
        response = None
        try:
            response = self._client.send(
                _build_request(self._client, self._where, step, _TimeLeft(deadline)), stream=True
            )
            content = b"".join(_read_in_time(response, deadline))
        except (httpx.RequestError, ssl.SSLError) as error:  # TLS 1.3 refuses a client after the handshake
            raise _http_error(error, self._where, step, begun=response is not None) from error
        finally:
            if response is not None:
                response.close()
        return _check_status(response, content, self._where)

    def close(self) -> None:
        """See `Transport`."""
        self._client.close()


class AsyncRestTransport:
    """The tasks of a loop share its pool of connections."""

    def __init__(self, endpoint: Endpoint) -> None:
        import httpx

        self._where = endpoint.where
        options = _http_options(endpoint)
        try:
            httpx.AsyncClient(**options)
        except (ValueError, ImportError, httpx.InvalidURL) as error:
            raise errors.setting_error(error) from error
        self._clients = PerLoop(lambda: httpx.AsyncClient(**options))

    async def send(self, step: Send) -> bytes:
        """See `AsyncTransport`."""
        import httpx

        client = self._clients.get()
        response = None
        try:
            async with asyncio.timeout(step.timeout_s):
                response = await client.send(_build_request(client, self._where, step, {}), stream=True)
                _check_plain(response)
                content = await response.aread()
        except (httpx.RequestError, ssl.SSLError) as error:  # TLS 1.3 refuses a client after the handshake
            raise _http_error(error, self._where, step, begun=response is not None) from error
        except TimeoutError as error:
            raise errors.timeout_error(self._where, step.allowed_s) from error
        finally:
            if response is not None:
                await response.aclose()
        return _check_status(response, content, self._where)

    async def close(self) -> None:
        """See `AsyncTransport`."""
        if (client := self._clients.end()) is not None:
            await client.aclose()


class _TimeLeft(dict[str, float]):
    """httpcore's time limits, each read when its phase begins: all of them end at the one deadline."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def get(self, _key: str, _default: Any = None) -> float:
        return max(self._deadline.left_s, 0.001)


def _http_options(endpoint: Endpoint) -> dict[str, Any]:
    import httpx

    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if endpoint.token:
        headers["Authorization"] = f"Bearer {endpoint.token}"
    return {
        "headers": headers,
        "verify": _tls_context(endpoint) if endpoint.secure else True,
        "limits": httpx.Limits(
            max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS, keepalive_expiry=_KEPT_S
        ),
        "trust_env": not endpoint.is_local,  # a local server needs no proxy
        "timeout": None,
    }


def _tls_context(endpoint: Endpoint) -> Any:
    import httpx

    from serving.client.values import send_error

    try:
        context = ssl.create_default_context(cafile=endpoint.ca) if endpoint.ca else httpx.create_ssl_context()
        if endpoint.certificate:
            context.load_cert_chain(*endpoint.certificate)
    except (ssl.SSLError, OSError) as error:
        raise send_error("The certificate", "PEM files; the key without password", error, "check the files") from error
    return context


def _build_request(client: Any, where: str, step: Send, limits: dict[str, float]) -> httpx.Request:
    method = "GET" if step.body is None else "POST"
    return client.build_request(method, where + step.path, content=step.body, extensions={"timeout": limits})


def _read_in_time(response: httpx.Response, deadline: Deadline) -> Any:
    """The parts of an answer; a server that sends them one by one does not get more time for it."""
    import httpx

    _check_plain(response)
    for part in response.iter_bytes():
        if deadline.left_s <= 0:
            raise httpx.ReadTimeout("the answer was not complete", request=response.request)
        yield part


def _check_plain(response: httpx.Response) -> None:
    """Refuse a compressed answer, which nobody asked for: a few bytes would become gigabytes."""
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise errors.unreadable_error(response.request.url.path, f"an answer in Content-Encoding: {encoding}")


def _http_error(error: httpx.RequestError | ssl.SSLError, where: str, step: Send, *, begun: bool) -> ServingError:
    import httpx

    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, httpx.TimeoutException):
        return errors.timeout_error(where, step.allowed_s, reason)
    if begun:
        return errors.broken_off_error(where, reason)
    is_lost = isinstance(error, (httpx.ReadError, httpx.WriteError)) or "disconnected" in reason
    return errors.lost_error(where, reason) if is_lost else errors.unreachable_error(where, reason)


def _check_status(response: httpx.Response, content: bytes, where: str) -> bytes:
    if not is_good(response.status_code):
        raise read_error(response.status_code, content, where)
    return content


class GrpcTransport:
    """Threads share its channel."""

    def __init__(self, endpoint: Endpoint) -> None:
        import grpc

        self._where = endpoint.where
        self._metadata = _auth_metadata(endpoint)
        self._channel = open_channel(grpc, endpoint)

    def send(self, step: Send) -> bytes:
        """See `Transport`."""
        import grpc

        try:
            call = self._channel.unary_unary(step.path)
            return call(step.body, timeout=step.timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _grpc_error(error, self._where, step) from error
        except ValueError as error:  # "Cannot invoke RPC on closed channel!"
            raise errors.closed_error() from error

    def close(self) -> None:
        """See `Transport`."""
        self._channel.close()


class AsyncGrpcTransport:
    """The tasks of a loop share its channel."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._where = endpoint.where
        self._metadata = _auth_metadata(endpoint)
        self._channels = PerLoop(lambda: open_channel(_import_aio(), endpoint))

    async def send(self, step: Send) -> bytes:
        """See `AsyncTransport`."""
        import grpc

        try:
            call = self._channels.get().unary_unary(step.path)
            return await call(step.body, timeout=step.timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _grpc_error(error, self._where, step) from error
        except asyncio.CancelledError:  # gRPC also ends so what is under way when its channel is closed
            if (task := asyncio.current_task()) and task.cancelling():
                raise
            raise errors.closed_error() from None

    async def close(self) -> None:
        """See `AsyncTransport`."""
        if (channel := self._channels.end()) is not None:
            await channel.close()


def _import_aio() -> Any:
    import grpc.aio

    return grpc.aio


def open_channel(api: Any, endpoint: Endpoint, options: Sequence[tuple[str, Any]] = ()) -> Any:
    """A channel of `grpc` or of `grpc.aio`, whose functions are called the same.

    Args:
        api: The module.
        endpoint: Where, and with which certificates.
        options: Of gRPC; they win over the client's own.
    """
    merged = [*options, *_channel_options(endpoint)]  # gRPC takes the first of a name
    if not endpoint.secure:
        return api.insecure_channel(endpoint.where, options=merged)
    import grpc

    certificate, key = endpoint.certificate or (None, None)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=endpoint.ca.read_bytes() if endpoint.ca else None,
        private_key=key.read_bytes() if key else None,
        certificate_chain=certificate.read_bytes() if certificate else None,
    )
    return api.secure_channel(endpoint.where, credentials, options=merged)


def _channel_options(endpoint: Endpoint) -> ChannelOptions:
    return [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # The tries are ours: each must find out anew whether the server is back.
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0 if endpoint.is_local else 1),  # a local server needs no proxy
    ]


def _auth_metadata(endpoint: Endpoint) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {endpoint.token}"),) if endpoint.token else ()


def _grpc_error(error: Any, where: str, step: Send) -> ServingError:
    code, text = Code(error.code().value[0]), error.details() or ""
    if code is Code.UNAVAILABLE:
        return (errors.lost_error if _LOST.search(text) else errors.unreachable_error)(where, text)
    if code is Code.DEADLINE_EXCEEDED:
        return errors.timeout_error(where, step.allowed_s, text)
    return error_from_code(code, text)
