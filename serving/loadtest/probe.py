"""One call before the load: a refused request would only measure how fast a server refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.errors import Code, InvalidArgument
from serving.loadtest.target import unreachable

if TYPE_CHECKING:
    from serving.loadtest.target import Target

_OK = 200
_SHOWN = 300  # characters


def check(target: Target) -> None:
    """Send the request once.

    Raises:
        InvalidArgument: It was refused; the text holds what was sent and what came back.
        Unavailable: Nobody listens.
    """
    answer = _rest(target) if target.transport == "rest" else _grpc(target)
    if answer:
        sent = _shown(target.body) if target.transport == "rest" else f"{len(target.body)} bytes of PredictRequest"
        raise InvalidArgument(
            f"{target.model} refused the request of the load test: {sent}\nExpected: an answer\nReceived: {answer}\n"
            "Next: pass one that it takes, with --input FILE or --input NAME=VALUE"
        )


def _rest(target: Target) -> str:
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
        raise unreachable(target, error) from error
    return "" if reply.status_code == _OK else f"HTTP {reply.status_code} {_shown(reply.content)}"


def _grpc(target: Target) -> str:
    import grpc

    from serving.clients.rpc_transport import open_channel
    from serving.loadtest.grpc import parse_address

    metadata = (("authorization", f"Bearer {target.token}"),) if target.token else ()
    with open_channel(grpc, parse_address(target)) as channel:
        try:
            channel.unary_unary(target.path)(target.body, timeout=target.timeout_s, metadata=metadata)
        except grpc.RpcError as error:
            if error.code().value[0] == Code.UNAVAILABLE:
                raise unreachable(target, error.details()) from error
            return f"{error.code().name} {(error.details() or '')[:_SHOWN]}"
    return ""


def _shown(content: bytes) -> str:
    text = " ".join(content[:_SHOWN].decode("utf-8", "replace").split())
    return f"{text} ... ({len(content)} bytes)" if len(content) > _SHOWN else text
