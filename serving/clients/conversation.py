"""What is asked of a server and when, step by step; sync and async clients take the same steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from serving.clients import examples as feature_values
from serving.clients import inputs as input_values
from serving.clients.call import Deadline, Pause
from serving.clients.failure import Unreadable
from serving.clients.retry import retried
from serving.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from serving.wire import protos

if TYPE_CHECKING:
    import numpy as np

    from serving.clients.call import Call, Flow
    from serving.clients.dialect import Dialect
    from serving.clients.reply import Classes, VersionStatus
    from serving.clients.target import Target
    from serving.core.signature import Signature

T = TypeVar("T")
Signatures = Mapping[str, "Signature"]
_POLL_S = 0.1


@dataclass(frozen=True)
class Question:
    """What `predict` is to find out: values by input name, the signature's key, the outputs wanted."""

    target: Target
    inputs: Any
    signature: str
    outputs: Iterable[str] | None


@dataclass
class Conversation:
    """The steps of every method of a client.

    Attributes:
        dialect: Puts requests together.
        timeout_s: How long one method may take where it is not told.
        attempts: How often to send a call at most.
    """

    dialect: Dialect
    timeout_s: float
    attempts: int
    _known: dict[Target, Signatures] = field(default_factory=dict)  # latest answer wins; threads may race

    def predict(self, question: Question, timeout_s: float | None) -> Flow[dict[str, np.ndarray]]:
        """Outputs by name.

        The signatures are asked for once. What does not fit them, here or at the server, may be meant for a
        version that came later: then they are asked for again, and the question too where they changed.
        """
        deadline = self._deadline(timeout_s)
        known = self._known.get(question.target)
        if known is None:
            known = yield from self._learned(question.target, deadline)
            return (yield from self._predicted(question, known, deadline))
        try:
            return (yield from self._predicted(question, known, deadline))
        except (InvalidArgument, FailedPrecondition, Unreadable):
            now = yield from self._learned(question.target, deadline)
            if now == known:
                raise
        return (yield from self._predicted(question, now, deadline))

    def _predicted(self, question: Question, known: Signatures, deadline: Deadline) -> Flow[dict[str, np.ndarray]]:
        declared = input_values.signature(known, question.signature, question.target.name)
        outputs = input_values.outputs(question.outputs, declared)
        arrays = input_values.arrays(question.inputs, declared, fills_defaults=self.dialect.FILLS_DEFAULTS)
        return (yield from self._ask(self.dialect.predict(question.target, declared, arrays, outputs), deadline))

    def classify(
        self, target: Target, signature: str, examples: Iterable[Any], context: Any, timeout_s: float | None
    ) -> Flow[Classes]:
        """Labels and scores per example."""
        call = self.dialect.classify(target, signature, feature_values.messages(examples), _context(context))
        return (yield from self._ask(call, self._deadline(timeout_s)))

    def regress(
        self, target: Target, signature: str, examples: Iterable[Any], context: Any, timeout_s: float | None
    ) -> Flow[np.ndarray]:
        """One number per example."""
        call = self.dialect.regress(target, signature, feature_values.messages(examples), _context(context))
        return (yield from self._ask(call, self._deadline(timeout_s)))

    def multi_inference(
        self, target: Target, tasks: Mapping[str, str], examples: Iterable[Any], context: Any, timeout_s: float | None
    ) -> Flow[dict[str, Any]]:
        """Results by signature."""
        call = self.dialect.multi_inference(target, tasks, feature_values.messages(examples), _context(context))
        return (yield from self._ask(call, self._deadline(timeout_s)))

    def metadata(self, target: Target, timeout_s: float | None) -> Flow[Signatures]:
        """Signatures by name, as they are now."""
        return (yield from self._learned(target, self._deadline(timeout_s)))

    def status(self, target: Target, timeout_s: float | None) -> Flow[list[VersionStatus]]:
        """The versions, highest first."""
        return (yield from self._ask(self.dialect.status(target), self._deadline(timeout_s)))

    def reload(self, config: Any, timeout_s: float | None) -> Flow[None]:
        """Replace what is served."""
        yield from self._ask(self.dialect.reload(_config(config)), self._deadline(timeout_s))
        self._known.clear()

    def ready(self, target: Target, timeout_s: float | None) -> Flow[list[VersionStatus]]:
        """The versions, as soon as one of them is AVAILABLE."""
        deadline = self._deadline(timeout_s)
        seen: Any = "nothing yet"
        while deadline.left_s > _POLL_S:
            try:
                found = yield from self._ask(self.dialect.status(target), deadline)
            except (NotFound, Unavailable) as error:  # it may be about to start
                seen = error.message.partition("\n")[0]
            else:
                if any(one.state == "AVAILABLE" for one in found):
                    return found
                seen = ", ".join(f"version {one.version} is {one.state} {one.error}".strip() for one in found)
            yield Pause(_POLL_S)
        raise DeadlineExceeded(
            f"{target.name} is not ready after {deadline.seconds:g} s.\n"
            f"Expected: a version that is AVAILABLE\n"
            f"Received: {seen}\n"
            f"Next: pass a larger timeout_s, or look into the server's log"
        )

    def _learned(self, target: Target, deadline: Deadline) -> Flow[Signatures]:
        found = yield from self._ask(self.dialect.metadata(target), deadline)
        self._known[target] = found
        return found

    def _ask(self, call: Call[T], deadline: Deadline) -> Flow[T]:
        return retried(call, deadline, self.attempts)

    def _deadline(self, timeout_s: float | None) -> Deadline:
        return Deadline(self.timeout_s if timeout_s is None else timeout_s)


def _context(given: Any) -> Any:
    return None if given is None else feature_values.message(given)


def _config(given: Any) -> Any:
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
