"""The synchronous client."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self, TypeVar

from serving.client.calls import ATTEMPTS, Pause
from serving.client.conversation import ClientProtocol, PredictArgs, codec_for
from serving.client.endpoint import parse_endpoint
from serving.client.types import ModelRef
from serving.errors import ServingError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from types import TracebackType

    import numpy as np

    from serving.client.calls import Flow, Send, Transport
    from serving.client.endpoint import Endpoint
    from serving.client.types import Classes, VersionStatus
    from serving.core.signature import Signature

T = TypeVar("T")
DEFAULT_SIGNATURE = "serving_default"


class Client:
    """Talks to a model server over REST or gRPC; threads may share it.

    Args:
        address: `http://HOST:PORT` or `https://...` for REST; `grpc://HOST:PORT`, `grpcs://...`, `unix:/PATH` or
            `HOST:PORT` for gRPC.
        token: Bearer token. It goes unencrypted to this machine only.
        timeout_s: How long one method may take, with all tries and pauses.
        attempts: How often a request is sent at most while the server is away.
        ca: PEM file of the authorities to trust instead of the usual ones.
        certificate: PEM files of a client certificate and its key.
        insecure: Send the token unencrypted to other machines too.

    Raises:
        InvalidArgument: The address or the credentials are of no use.
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
        server = parse_endpoint(address, token, ca, certificate, insecure=insecure)
        self._protocol = ClientProtocol(codec_for(server), timeout_s, attempts)
        self._transport = _open_transport(server)

    def predict(
        self,
        name: str,
        inputs: Any,
        *,
        signature: str = DEFAULT_SIGNATURE,
        version: int | None = None,
        label: str | None = None,
        outputs: Sequence[str] | None = None,
        timeout_s: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Run a signature.

        Args:
            name: The model.
            inputs: Arrays, nested lists, numbers, str, bytes or `pathlib.Path` by input name; or the one value of a
                signature with one input. They take the declared types where nothing is lost. A path means its
                file's bytes.
            signature: Key of the signature.
            version: Version to ask; None for the highest.
            label: Label of the version to ask, instead of its number.
            outputs: Outputs to answer with; None for all. Over gRPC the server computes no others.
            timeout_s: How long to wait; None for the client's own time.

        Returns:
            Arrays by output name, of the declared types; strings as objects of bytes.

        Raises:
            InvalidArgument: The inputs do not fit, found here or by the server.
            ServingError: The class tells the code, the text is the server's.
        """
        args = PredictArgs(ModelRef(name, version, label), inputs, signature, outputs)
        return self._run(self._protocol.predict(args, timeout_s))

    def classify(
        self,
        name: str,
        examples: Iterable[Any],
        *,
        context: Any = None,
        signature: str = DEFAULT_SIGNATURE,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = None,
    ) -> Classes:
        """Labels and scores of each example.

        Args:
            name: The model.
            examples: Feature values by name, or serialized `tf.train.Example`s. Whole numbers make an int64
                feature: write 2.0 for one of floats.
            context: Features that all examples share, in the same form.
            signature: Key of the signature.
            version: Version to ask; None for the highest.
            label: Label of the version to ask.
            timeout_s: How long to wait; None for the client's own time.

        Returns:
            A list of (label, score) per example; the label as bytes where it is no text.
        """
        ref = ModelRef(name, version, label)
        return self._run(self._protocol.classify(ref, signature, examples, context, timeout_s))

    def regress(
        self,
        name: str,
        examples: Iterable[Any],
        *,
        context: Any = None,
        signature: str = DEFAULT_SIGNATURE,
        version: int | None = None,
        label: str | None = None,
        timeout_s: float | None = None,
    ) -> np.ndarray:
        """One number per example, (examples,) float32; the arguments are those of `classify`."""
        ref = ModelRef(name, version, label)
        return self._run(self._protocol.regress(ref, signature, examples, context, timeout_s))

    def multi_inference(
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
        """Several signatures over the same examples, in one run; over gRPC only.

        Args:
            name: The model.
            examples: As `classify`.
            tasks: `"classify"` or `"regress"` by signature.
            context: As `classify`.
            version: Version to ask; None for the highest.
            label: Label of the version to ask.
            timeout_s: How long to wait; None for the client's own time.

        Returns:
            What `classify` or `regress` would answer, by signature.

        Raises:
            Unimplemented: Over REST.
        """
        ref = ModelRef(name, version, label)
        return self._run(self._protocol.multi_inference(ref, tasks, examples, context, timeout_s))

    def metadata(
        self, name: str, *, version: int | None = None, label: str | None = None, timeout_s: float | None = None
    ) -> Mapping[str, Signature]:
        """The signatures of a model, by name, with the types and shapes of their inputs and outputs.

        Raises:
            NotFound: No such model or version.
        """
        return self._run(self._protocol.metadata(ModelRef(name, version, label), timeout_s))

    def status(self, name: str, *, version: int | None = None, timeout_s: float | None = None) -> list[VersionStatus]:
        """The state of every version that the server knows, highest first; or of the one version.

        Raises:
            NotFound: No such model or version.
        """
        return self._run(self._protocol.status(ModelRef(name, version), timeout_s))

    def wait_until_ready(
        self, name: str, timeout_s: float | None = None, *, version: int | None = None
    ) -> list[VersionStatus]:
        """Ask for the status until a version, or the one named, is AVAILABLE; the server may still be starting.

        Raises:
            DeadlineExceeded: None was in time; the text says what was seen last.
        """
        return self._run(self._protocol.ready(ModelRef(name, version), timeout_s))

    def reload(self, config: Any, *, timeout_s: float | None = None) -> None:
        """Replace what the server serves; over gRPC only. Returns when the new models answer.

        Args:
            config: A `ModelServerConfig`, its text form, or a `pathlib.Path` of a file with that.
            timeout_s: How long to wait; None for the client's own time.

        Raises:
            InvalidArgument: The configuration cannot be read, or the server refuses it.
            Unimplemented: Over REST.
        """
        self._run(self._protocol.reload(config, timeout_s))

    def close(self) -> None:
        """Close its connections; later calls are a FailedPrecondition."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, flow: Flow[T]) -> T:
        take, given = flow.send, None  # type: Any, Any  # a generator's first send is None
        while True:
            try:
                step = take(given)
            except StopIteration as end:
                return end.value
            take = flow.send
            try:
                given = self._perform(step)
            except ServingError as error:
                take, given = flow.throw, error

    def _perform(self, step: Send | Pause) -> bytes:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return b""
        return self._transport.send(step)


def _open_transport(endpoint: Endpoint) -> Transport:
    if endpoint.rest:
        from serving.client.transports import RestTransport

        return RestTransport(endpoint)
    from serving.client.transports import GrpcTransport

    return GrpcTransport(endpoint)
