"""The client's protocol: what is sent to a server and when, step by step, for sync and async clients alike.

`Codec` is what the messages of a transport must offer; `rest_messages` and `grpc_messages` do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from serving.client import types as feature_values
from serving.client import values as input_values
from serving.client.calls import Deadline, Pause, send_with_retries
from serving.client.errors import UnreadableAnswer
from serving.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from serving.wire import protos

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from serving.client.calls import Call, Flow
    from serving.client.endpoint import Endpoint
    from serving.client.types import Arrays, Classes, ModelRef, VersionStatus
    from serving.core.signature import Signature


T = TypeVar("T")
Signatures = Mapping[str, "Signature"]
_POLL_S = 0.1


@dataclass(frozen=True)
class PredictArgs:
    """What `predict` is to find out: values by input name, the signature's key, the outputs wanted."""

    target: ModelRef
    inputs: Any
    signature: str
    outputs: Iterable[str] | None


@dataclass
class ClientProtocol:
    """The steps of every method of a client.

    Attributes:
        codec: Encodes requests for REST or gRPC, and decodes the answers.
        timeout_s: How long one call may take unless the call sets its own timeout.
        attempts: How often to send a call at most.
    """

    codec: Codec
    timeout_s: float
    attempts: int
    _known: dict[ModelRef, Signatures] = field(default_factory=dict)  # latest answer wins; threads may race

    def predict(self, args: PredictArgs, timeout_s: float | None) -> Flow[dict[str, np.ndarray]]:
        """Outputs by name.

        The signatures are read once. Inputs that do not fit them, here or at the server, may be meant for a
        later version: then they are read again, and the request is repeated where they changed.
        """
        deadline = self._deadline(timeout_s)
        known = self._known.get(args.target)
        if known is None:
            known = yield from self._ask_signatures(args.target, deadline)
            return (yield from self._ask_predict(args, known, deadline))
        try:
            return (yield from self._ask_predict(args, known, deadline))
        except (InvalidArgument, FailedPrecondition, UnreadableAnswer):
            now = yield from self._ask_signatures(args.target, deadline)
            if now == known:
                raise
        return (yield from self._ask_predict(args, now, deadline))

    def _ask_predict(self, args: PredictArgs, known: Signatures, deadline: Deadline) -> Flow[dict[str, np.ndarray]]:
        declared = input_values.find_signature(known, args.signature, args.target.name)
        outputs = input_values.output_names(args.outputs, declared)
        arrays = input_values.input_arrays(args.inputs, declared, fills_defaults=self.codec.FILLS_DEFAULTS)
        return (yield from self._ask(self.codec.predict(args.target, declared, arrays, outputs), deadline))

    def classify(
        self, ref: ModelRef, signature: str, examples: Iterable[Any], context: Any, timeout_s: float | None
    ) -> Flow[Classes]:
        """Labels and scores per example."""
        call = self.codec.classify(ref, signature, feature_values.example_messages(examples), _context_message(context))
        return (yield from self._ask(call, self._deadline(timeout_s)))

    def regress(
        self, ref: ModelRef, signature: str, examples: Iterable[Any], context: Any, timeout_s: float | None
    ) -> Flow[np.ndarray]:
        """One number per example."""
        call = self.codec.regress(ref, signature, feature_values.example_messages(examples), _context_message(context))
        return (yield from self._ask(call, self._deadline(timeout_s)))

    def multi_inference(
        self, ref: ModelRef, tasks: Mapping[str, str], examples: Iterable[Any], context: Any, timeout_s: float | None
    ) -> Flow[dict[str, Any]]:
        """Results by signature."""
        call = self.codec.multi_inference(
            ref, tasks, feature_values.example_messages(examples), _context_message(context)
        )
        return (yield from self._ask(call, self._deadline(timeout_s)))

    def metadata(self, ref: ModelRef, timeout_s: float | None) -> Flow[Signatures]:
        """Signatures by name, as they are now."""
        return (yield from self._ask_signatures(ref, self._deadline(timeout_s)))

    def status(self, ref: ModelRef, timeout_s: float | None) -> Flow[list[VersionStatus]]:
        """The versions, highest first."""
        return (yield from self._ask(self.codec.status(ref), self._deadline(timeout_s)))

    def reload(self, config: Any, timeout_s: float | None) -> Flow[None]:
        """Replace what is served."""
        yield from self._ask(self.codec.reload(_config_message(config)), self._deadline(timeout_s))
        self._known.clear()

    def ready(self, ref: ModelRef, timeout_s: float | None) -> Flow[list[VersionStatus]]:
        """The versions, as soon as one of them is AVAILABLE."""
        deadline = self._deadline(timeout_s)
        seen: Any = "nothing yet"
        while deadline.left_s > _POLL_S:
            try:
                versions = yield from self._ask(self.codec.status(ref), deadline)
            except (NotFound, Unavailable) as error:  # it may be about to start
                seen = error.message.partition("\n")[0]
            else:
                if any(version.state == "AVAILABLE" for version in versions):
                    return versions
                seen = ", ".join(
                    f"version {version.version} is {version.state} {version.error}".strip() for version in versions
                )
            yield Pause(_POLL_S)
        raise DeadlineExceeded(
            f"{ref.name} is not ready after {deadline.seconds:g} s.\n"
            f"Expected: a version that is AVAILABLE\n"
            f"Received: {seen}\n"
            f"Next: pass a larger timeout_s, or look into the server's log"
        )

    def _ask_signatures(self, ref: ModelRef, deadline: Deadline) -> Flow[Signatures]:
        signatures = yield from self._ask(self.codec.metadata(ref), deadline)
        self._known[ref] = signatures
        return signatures

    def _ask(self, call: Call[T], deadline: Deadline) -> Flow[T]:
        return send_with_retries(call, deadline, self.attempts)

    def _deadline(self, timeout_s: float | None) -> Deadline:
        return Deadline(self.timeout_s if timeout_s is None else timeout_s)


def _context_message(given: Any) -> Any:
    return None if given is None else feature_values.example_message(given)


def _config_message(given: Any) -> Any:
    """A `ModelServerConfig` of itself, of its text form, or of a file with that."""
    from google.protobuf import text_format

    message = protos.load("config.model_server_config_pb2").ModelServerConfig()
    if not isinstance(given, (str, Path)):
        message.CopyFrom(given)
        return message
    text = given.read_text() if isinstance(given, Path) else given
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise InvalidArgument(
            f"The configuration cannot be read.\n"
            f"Expected: a tensorflow.serving.ModelServerConfig in text form\n"
            f"Received: {error}\n"
            f"Next: mend it; it begins with model_config_list {{ config {{ name: ... base_path: ... }} }}"
        ) from error


class Codec(Protocol):
    """Pure functions that put requests together and say how their answers are read."""

    FILLS_DEFAULTS: bool
    """Whether the server has values for inputs that are left out."""

    def predict(
        self, ref: ModelRef, signature: Signature, inputs: Arrays, outputs: Sequence[str] | None
    ) -> Call[dict[str, np.ndarray]]:
        """Run a signature on arrays of its types; `outputs` are those to answer with, None for all.

        Raises:
            Unimplemented: A type that the transport cannot carry.
        """
        ...

    def classify(self, ref: ModelRef, signature: str, examples: Sequence[Any], context: Any) -> Call[Classes]:
        """Labels and scores of each `tf.train.Example`; `context` is one too, or None."""
        ...

    def regress(self, ref: ModelRef, signature: str, examples: Sequence[Any], context: Any) -> Call[np.ndarray]:
        """One float32 of each `tf.train.Example`."""
        ...

    def multi_inference(
        self, ref: ModelRef, tasks: Mapping[str, str], examples: Sequence[Any], context: Any
    ) -> Call[dict[str, Any]]:
        """The results of several signatures on the same Examples; `tasks` is `classify` or `regress` of each.

        Raises:
            Unimplemented: The transport has no such request.
        """
        ...

    def metadata(self, ref: ModelRef) -> Call[dict[str, Signature]]:
        """The signatures by name."""
        ...

    def status(self, ref: ModelRef) -> Call[list[VersionStatus]]:
        """The versions, highest first."""
        ...

    def reload(self, config: Any) -> Call[None]:
        """Replace what is served with a `ModelServerConfig`.

        Raises:
            Unimplemented: The transport has no such request.
        """
        ...


def codec_for(endpoint: Endpoint) -> Codec:
    """The messages that are understood at an address."""
    from serving.client import grpc_messages, rest_messages

    return rest_messages if endpoint.rest else grpc_messages
