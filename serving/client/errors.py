"""Error messages for failed connections and invalid responses."""

from __future__ import annotations

from serving.errors import (
    Code,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    ServingError,
    Unavailable,
    Unimplemented,
)


class UnreadableAnswer(ServingError):  # noqa: N818 - named as the errors of serving.errors are
    """An answer that does not fit the signatures, or the protocol."""

    code = Code.INTERNAL


class ConnectionLost(Unavailable):
    """The connection broke after a request was sent, before its answer."""


def lost_error(where: str, reason: object) -> ConnectionLost:
    """The error of a server that took a request, and was gone."""
    return ConnectionLost(
        f"The connection to {where} broke before the answer.\n"
        f"Expected: an answer to the request that was sent\n"
        f"Received: {reason}\n"
        f"Next: look into the server's log, whether it ended; send the request again if it did not cause that"
    )


def closed_error() -> FailedPrecondition:
    """The error of a call after `close`."""
    return FailedPrecondition(
        "The client is closed.\nExpected: calls before close(), or within the with block\nReceived: one after it\n"
        "Next: make a new client"
    )


def setting_error(error: Exception) -> InvalidArgument:
    """The error of proxies in the environment that are none."""
    return InvalidArgument(
        f"The client cannot be set up.\nExpected: HTTP_PROXY, HTTPS_PROXY and NO_PROXY as URLs of http or https\n"
        f"Received: {error}\nNext: correct or unset them"
    )


def unreachable_error(where: str, reason: object) -> Unavailable:
    """The error of a server that is not there."""
    return Unavailable(
        f"The model server at {where} does not answer.\n"
        f"Expected: a server of TensorFlow Serving's protocol\n"
        f"Received: {reason}\n"
        f"Next: {_next_step(where, str(reason))}"
    )


def _next_step(where: str, reason: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in reason or "certificate verify failed" in reason:
        return "pass ca=PATH with the PEM file of the authority that signed the server's certificate"
    if "SSL" in reason or "Ssl" in reason or "TLS" in reason:
        return "check that the server speaks TLS at this port, and whether it asks for certificate=(CERT, KEY)"
    other = "8500 is gRPC's usual port" if where.startswith("http") else "REST addresses begin with http://"
    return f"start one with `keraspipe serve`, or give its address ({other})"


def timeout_error(where: str, timeout_s: float, reason: str = "no answer") -> DeadlineExceeded:
    """The error of an answer that did not come in time."""
    return DeadlineExceeded(
        f"No answer from {where} within {timeout_s:.3g} s.\n"
        f"Expected: an answer before the deadline\n"
        f"Received: {reason}\n"
        f"Next: pass a larger timeout_s, or see what keeps the server busy"
    )


def broken_off_error(where: str, reason: object) -> DataLoss:
    """The error of an answer that ends in the middle."""
    return DataLoss(
        f"The answer of {where} broke off.\n"
        f"Expected: as many bytes as its headers announce\n"
        f"Received: {reason}\n"
        f"Next: look into the log of the server or of the proxy before it"
    )


def unreadable_error(what: str, reason: object) -> UnreadableAnswer:
    """Returns the error for a response that does not match the request."""
    return UnreadableAnswer(
        f"The answer to {what} cannot be read.\n"
        f"Expected: an answer of TensorFlow Serving's protocol that fits the model's signatures\n"
        f"Received: {type(reason).__name__ if isinstance(reason, Exception) else ''} {reason}\n"
        f"Next: check that the address is a model server's, with no proxy that changes its answers"
    )


def grpc_only_error(what: str) -> Unimplemented:
    """The error of what the REST API does not have."""
    return Unimplemented(
        f"The REST API cannot carry {what}.\n"
        f"Expected: a client over gRPC\n"
        f"Received: an http address\n"
        f'Next: use the gRPC address of the same server, such as Client("127.0.0.1:8500")'
    )
