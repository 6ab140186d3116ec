"""The one tree of errors: what went wrong, with the canonical code that both transports map.

The numbers and names are gRPC's canonical codes; the HTTP statuses are those of TensorFlow Serving's REST API.
"""

# ruff: noqa: N818 - the classes are named as the codes are

from __future__ import annotations

import logging
from enum import IntEnum

_LOG = logging.getLogger("keraspipe.serving")


class Code(IntEnum):
    """A canonical status code (google.rpc.Code)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class ServingError(Exception):
    """A request, a model or the server failed; `code` says how, the text is what a client reads.

    Args:
        message: The text on the wire, without the code.
        code: The canonical code; the class's own when not given.

    Attributes:
        canary_choice: Model, side and version, where a canary had chosen who is to answer and that version refused.
    """

    code = Code.UNKNOWN
    canary_choice: tuple[str, str, int] | None = None

    def __init__(self, message: str, code: Code | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code

    @property
    def text(self) -> str:
        """The message behind its code, as a status prints itself: `INVALID_ARGUMENT: ...`."""
        return f"{self.code.name}: {self.message}"

    @property
    def short_message(self) -> str:
        """The message's first line, without the names of the graph's nodes that TensorFlow puts around it."""
        return self.message.partition("\n")[0].rpartition("}} ")[2]


class InvalidArgument(ServingError):
    """The request can never work."""

    code = Code.INVALID_ARGUMENT


class NotFound(ServingError):
    """No such model, version or file."""

    code = Code.NOT_FOUND


class FailedPrecondition(ServingError):
    """The request does not fit the model."""

    code = Code.FAILED_PRECONDITION


class ResourceExhausted(ServingError):
    """Too large or too much at once."""

    code = Code.RESOURCE_EXHAUSTED


class Unimplemented(ServingError):
    """The protocol has no answer for this."""

    code = Code.UNIMPLEMENTED


class Unavailable(ServingError):
    """The server is unreachable or shutting down; a retry may work."""

    code = Code.UNAVAILABLE


class DeadlineExceeded(ServingError):
    """The answer took longer than the caller waits."""

    code = Code.DEADLINE_EXCEEDED


class Unauthenticated(ServingError):
    """The token is missing or wrong."""

    code = Code.UNAUTHENTICATED


class DataLoss(ServingError):
    """A file is damaged."""

    code = Code.DATA_LOSS


class PortTaken(ServingError):
    """The address to listen at belongs to another process."""

    code = Code.ALREADY_EXISTS


_CLASSES: dict[Code, type[ServingError]] = {
    kind.code: kind
    for kind in (
        InvalidArgument,
        NotFound,
        FailedPrecondition,
        ResourceExhausted,
        Unimplemented,
        Unavailable,
        DeadlineExceeded,
        Unauthenticated,
        DataLoss,
    )
}


def error_from_code(code: Code, message: str) -> ServingError:
    """The typed error of a canonical code."""
    return _CLASSES.get(code, ServingError)(message, code)


def unexpected_error(error: Exception, what: str) -> ServingError:
    """Returns the error that a client receives for a bug, and logs the traceback.

    Args:
        error: What nobody thought of.
        what: What failed, to begin a sentence with.
    """
    _LOG.error("%s failed unexpectedly", what, exc_info=error)
    return ServingError(f"{type(error).__name__}: {error}", Code.INTERNAL)
