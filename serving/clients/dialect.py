"""What a transport's messages must be able to say; `rest_messages` and `rpc_messages` are the two that do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from serving.clients.call import Call
    from serving.clients.endpoint import Endpoint
    from serving.clients.reply import Arrays, Classes, VersionStatus
    from serving.clients.target import Target
    from serving.core.signature import Signature


class Dialect(Protocol):
    """Pure functions that put requests together and say how their answers are read."""

    FILLS_DEFAULTS: bool
    """Whether the server has values for inputs that are left out."""

    def predict(
        self, target: Target, signature: Signature, inputs: Arrays, outputs: Sequence[str] | None
    ) -> Call[dict[str, np.ndarray]]:
        """Run a signature on arrays of its types; `outputs` are those to answer with, None for all.

        Raises:
            Unimplemented: A type that the transport cannot carry.
        """
        ...

    def classify(self, target: Target, signature: str, examples: Sequence[Any], context: Any) -> Call[Classes]:
        """Labels and scores of each `tf.train.Example`; `context` is one too, or None."""
        ...

    def regress(self, target: Target, signature: str, examples: Sequence[Any], context: Any) -> Call[np.ndarray]:
        """One float32 of each `tf.train.Example`."""
        ...

    def multi_inference(
        self, target: Target, tasks: Mapping[str, str], examples: Sequence[Any], context: Any
    ) -> Call[dict[str, Any]]:
        """The results of several signatures on the same Examples; `tasks` is `classify` or `regress` of each.

        Raises:
            Unimplemented: The transport has no such request.
        """
        ...

    def metadata(self, target: Target) -> Call[dict[str, Signature]]:
        """The signatures by name."""
        ...

    def status(self, target: Target) -> Call[list[VersionStatus]]:
        """The versions, highest first."""
        ...

    def reload(self, config: Any) -> Call[None]:
        """Replace what is served with a `ModelServerConfig`.

        Raises:
            Unimplemented: The transport has no such request.
        """
        ...


def of_endpoint(found: Endpoint) -> Dialect:
    """The messages that are understood at an address."""
    from serving.clients import rest_messages, rpc_messages

    return rest_messages if found.rest else rpc_messages
