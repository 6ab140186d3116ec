"""gRPC channels, for both kinds of client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving.clients import failure
from serving.clients.per_loop import PerLoop
from serving.errors import Code, ServingError, of_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.clients.call import Send
    from serving.clients.endpoint import Endpoint

Options = list[tuple[str, int]]


class RpcTransport:
    """Threads share its channel."""

    def __init__(self, endpoint: Endpoint) -> None:
        import grpc

        self._where = endpoint.where
        self._metadata = _metadata(endpoint)
        self._channel = open_channel(grpc, endpoint)

    def send(self, step: Send) -> bytes:
        """See `Transport`."""
        import grpc

        try:
            call = self._channel.unary_unary(step.path)
            return call(step.body, timeout=step.timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _failed(error, self._where, step) from error

    def close(self) -> None:
        """See `Transport`."""
        self._channel.close()


class AsyncRpcTransport:
    """The tasks of a loop share its channel."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._where = endpoint.where
        self._metadata = _metadata(endpoint)
        self._channels = PerLoop(lambda: open_channel(_aio(), endpoint))

    async def send(self, step: Send) -> bytes:
        """See `AsyncTransport`."""
        import grpc

        try:
            call = self._channels.get().unary_unary(step.path)
            return await call(step.body, timeout=step.timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _failed(error, self._where, step) from error

    async def close(self) -> None:
        """See `AsyncTransport`."""
        channel = self._channels.take()
        if channel is not None:
            await channel.close()


def _aio() -> Any:
    import grpc.aio

    return grpc.aio


def open_channel(api: Any, endpoint: Endpoint, options: Sequence[tuple[str, Any]] = ()) -> Any:
    """A channel of `grpc` or of `grpc.aio`, whose functions are called the same.

    Args:
        api: The module.
        endpoint: Where, and with which certificates.
        options: Of gRPC; they win over the client's own.
    """
    merged = [*options, *_options(endpoint)]  # gRPC takes the first of a name
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


def _options(endpoint: Endpoint) -> Options:
    return [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        # The tries are ours: each must find out anew whether the server is back.
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0 if endpoint.is_local else 1),  # none stands between a machine and itself
    ]


def _metadata(endpoint: Endpoint) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {endpoint.token}"),) if endpoint.token else ()


def _failed(error: Any, where: str, step: Send) -> ServingError:
    code, text = Code(error.code().value[0]), error.details() or ""
    if code is Code.UNAVAILABLE:
        return failure.unreachable(where, text)
    if code is Code.DEADLINE_EXCEEDED:
        return failure.late(where, step.allowed_s, text)
    return of_code(code, text)
