"""The client of the gRPC API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from serving.clients.reply import Inputs, VersionStatus, signatures, unreachable
from serving.clients.retry import retried
from serving.errors import Code, of_code
from serving.wire import protos, tensor_proto

if TYPE_CHECKING:
    from types import TracebackType

    from serving.core.signature import Signature
    from serving.wire.dtype import Dtype


class GrpcClient:
    """Talks to the gRPC API.

    Args:
        address: Where the server listens, such as `127.0.0.1:8500`.
        token: Sent as bearer token, for a proxy or server that asks for one.
        timeout_s: How long one call may take, tries included.
    """

    def __init__(self, address: str = "127.0.0.1:8500", token: str | None = None, timeout_s: float = 60.0) -> None:
        import grpc

        self._address = address
        self._timeout_s = timeout_s
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._channel = grpc.insecure_channel(address, options=unlimited)

    def predict(
        self, name: str, inputs: Inputs, signature: str = "serving_default", version: int | None = None
    ) -> dict[str, np.ndarray]:
        """Run a signature; as `RestClient.predict`, except that arrays must have the declared types already.

        Numbers that are no arrays become float32 or int64 where that is what the signature takes.
        """
        declared = self.metadata(name, version).get(signature) if _needs_types(inputs) else None
        request = protos.load("apis.predict_pb2").PredictRequest()
        _fill_spec(request.model_spec, name, version)
        request.model_spec.signature_name = signature
        for key, value in inputs.items():
            info = declared.inputs.get(key) if declared else None
            tensor_proto.encode(_typed(value, info.dtype if info else None), request.inputs[key])
        reply = self._ask("PredictionService/Predict", request, protos.load("apis.predict_pb2").PredictResponse)
        return {key: tensor_proto.decode(value, key) for key, value in sorted(reply.outputs.items())}

    def status(self, name: str) -> list[VersionStatus]:
        """The state of every version that the server knows, highest first.

        Raises:
            NotFound: No such model.
        """
        module = protos.load("apis.get_model_status_pb2")
        request = module.GetModelStatusRequest()
        request.model_spec.name = name
        reply = self._ask("ModelService/GetModelStatus", request, module.GetModelStatusResponse)
        states = module.ModelVersionStatus.State
        return [
            VersionStatus(entry.version, states.Name(entry.state), entry.status.error_message)
            for entry in reply.model_version_status
        ]

    def metadata(self, name: str, version: int | None = None) -> dict[str, Signature]:
        """The signatures of a model, by name.

        Raises:
            NotFound: No such model or version.
        """
        module = protos.load("apis.get_model_metadata_pb2")
        request = module.GetModelMetadataRequest(metadata_field=["signature_def"])
        _fill_spec(request.model_spec, name, version)
        reply = self._ask("PredictionService/GetModelMetadata", request, module.GetModelMetadataResponse)
        message = module.SignatureDefMap()
        reply.metadata["signature_def"].Unpack(message)
        return signatures(message)

    def close(self) -> None:
        """Close its connection."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, method: str, request: Any, reply: Any) -> Any:
        call = self._channel.unary_unary(
            f"/tensorflow.serving.{method}", type(request).SerializeToString, reply.FromString
        )
        return retried(lambda left_s: self._once(call, request, left_s), self._timeout_s)

    def _once(self, call: Any, request: Any, timeout_s: float) -> Any:
        import grpc

        try:
            return call(request, timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            code, text = Code(error.code().value[0]), error.details() or ""
            raise (unreachable(self._address, text) if code is Code.UNAVAILABLE else of_code(code, text)) from error


def _fill_spec(message: Any, name: str, version: int | None) -> None:
    message.name = name
    if version is not None:
        message.version.value = version


def _needs_types(inputs: Inputs) -> bool:
    """Whether a value leaves open what type it is to be sent as."""
    return any(not isinstance(value, (np.ndarray, bytes, str)) for value in inputs.values())


def _typed(value: Any, dtype: Dtype | None) -> np.ndarray:
    if isinstance(value, np.ndarray) or dtype is None or dtype.name == "string":
        return np.asarray(value) if isinstance(value, np.ndarray) else np.array(value, dtype=object)
    return np.asarray(value, dtype=dtype.numpy)
