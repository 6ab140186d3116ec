"""Clients of TensorFlow Serving's protocol: numpy in, numpy out.

They work against the embedded server and against tensorflow/serving, and never import TensorFlow:

    RestClient().predict("digits", {"image": [png_bytes]})["label"]
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import numpy as np

from serving.core.signature import Signature, of_proto
from serving.errors import Code, NotFound, ServingError, Unavailable, of_code
from serving.retry import retried
from serving.wire import protos, tensor_proto

if TYPE_CHECKING:
    from types import TracebackType

    from serving.wire.dtype import Dtype

_CODES = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    409: Code.ABORTED,
    413: Code.RESOURCE_EXHAUSTED,
    429: Code.RESOURCE_EXHAUSTED,
    499: Code.CANCELLED,
    500: Code.INTERNAL,
    501: Code.UNIMPLEMENTED,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}
Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class VersionStatus:
    """What a server says of one version.

    Attributes:
        version: Its number.
        state: `START`, `LOADING`, `AVAILABLE`, `UNLOADING` or `END`.
        error: Why it ended; empty when nothing went wrong.
    """

    version: int
    state: str
    error: str = ""


class RestClient:
    """Talks to the REST API, in its columnar format.

    Args:
        url: Where the server listens, without `/v1`.
        token: Sent as bearer token, for a proxy or server that asks for one.
        timeout_s: How long one call may take, tries included.
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8501", token: str | None = None, timeout_s: float = 60.0
    ) -> None:
        import requests

        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._session = requests.Session()
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        self._signatures: dict[tuple[str, int | None], dict[str, Signature]] = {}

    def predict(
        self, name: str, inputs: Inputs, signature: str = "serving_default", version: int | None = None
    ) -> dict[str, np.ndarray]:
        """Run a signature.

        Args:
            name: The model.
            inputs: Arrays, nested lists, numbers, str or bytes by input name; bytes travel as base64.
            signature: Key of the signature.
            version: Version to ask; None for the highest.

        Returns:
            Arrays by output name, of the declared types; strings as objects of bytes.

        Raises:
            ServingError: The class tells the code, the text is the server's.
        """
        body = {
            "signature_name": signature,
            "inputs": {key: _jsonable(value) for key, value in inputs.items()},
        }
        answer = self._ask("POST", f"{_path(name, version)}:predict", json.dumps(body).encode())["outputs"]
        declared = self._declared(name, signature, version, answer)
        columns = answer if len(declared) > 1 else {next(iter(declared)): answer}
        return {key: _array(columns[key], dtype) for key, dtype in declared.items()}

    def status(self, name: str) -> list[VersionStatus]:
        """The state of every version that the server knows, highest first.

        Raises:
            NotFound: No such model.
        """
        return [
            VersionStatus(int(entry["version"]), entry["state"], entry["status"]["error_message"])
            for entry in self._ask("GET", _path(name, None))["model_version_status"]
        ]

    def metadata(self, name: str, version: int | None = None) -> dict[str, Signature]:
        """The signatures of a model, by name.

        Raises:
            NotFound: No such model or version.
        """
        from google.protobuf import json_format

        answer = self._ask("GET", f"{_path(name, version)}/metadata")["metadata"]["signature_def"]
        message = protos.load("apis.get_model_metadata_pb2").SignatureDefMap()
        return _signatures(json_format.ParseDict(answer, message, ignore_unknown_fields=True))

    def close(self) -> None:
        """Close its connections."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _declared(self, name: str, signature: str, version: int | None, answer: Any) -> dict[str, Dtype]:
        """Types by output name. An answer with one output does not name it, the metadata does; asked for once, and
        again when a new version answers in another form.
        """
        known = self._signatures.get((name, version), {}).get(signature)
        if known is None or not _fits(known, answer):
            fresh = self._signatures[name, version] = self.metadata(name, version)
            known = fresh[signature]
        return {key: info.dtype for key, info in known.outputs.items()}

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        return retried(lambda left_s: self._once(method, path, body, left_s), self._timeout_s)

    def _once(self, method: str, path: str, body: bytes | None, timeout_s: float) -> Any:
        import requests

        try:
            reply = self._session.request(method, self._url + path, data=body, timeout=timeout_s)
        except requests.Timeout as error:
            raise of_code(
                Code.DEADLINE_EXCEEDED, f"No answer from {self._url} within {timeout_s:.1f} s"
            ) from error
        except requests.RequestException as error:
            raise _unreachable(self._url, error) from error
        text = reply.content.decode("utf-8", "surrogateescape")
        if reply.status_code != requests.codes.ok:
            raise _refused(reply.status_code, text, f"{self._url}{path}")
        return json.loads(text, strict=False)


class GrpcClient:
    """Talks to the gRPC API.

    Args:
        address: Where the server listens, such as `127.0.0.1:8500`.
        token: Sent as bearer token, for a proxy or server that asks for one.
        timeout_s: How long one call may take, tries included.
    """

    def __init__(
        self, address: str = "127.0.0.1:8500", token: str | None = None, timeout_s: float = 60.0
    ) -> None:
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
        reply = self._ask(
            "PredictionService/Predict", request, protos.load("apis.predict_pb2").PredictResponse
        )
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
        return _signatures(message)

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
            raise (
                _unreachable(self._address, text) if code is Code.UNAVAILABLE else of_code(code, text)
            ) from error


def _path(name: str, version: int | None) -> str:
    return f"/v1/models/{quote(name, safe='')}" + (f"/versions/{version}" if version is not None else "")


def _jsonable(value: Any) -> Any:
    if isinstance(value, (bytes, bytearray)):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, (np.ndarray, np.generic)):
        return _jsonable(value.tolist())
    return [_jsonable(item) for item in value] if isinstance(value, (list, tuple)) else value


def _array(value: Any, dtype: Dtype) -> np.ndarray:
    """The answer's value as an array; what is neither list nor plain is a base64 object."""
    if dtype.name != "string":
        return np.array(value, dtype=dtype.numpy)
    return np.array(_decoded(value), dtype=object)


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return (
        base64.b64decode(value["b64"])
        if isinstance(value, dict)
        else value.encode("utf-8", "surrogateescape")
    )


def _fits(signature: Signature, answer: Any) -> bool:
    """Whether an answer has the form of the signature's outputs."""
    named = isinstance(answer, dict) and "b64" not in answer
    return named == (len(signature.outputs) > 1) and (not named or answer.keys() == signature.outputs.keys())


def _signatures(message: Any) -> dict[str, Signature]:
    return {name: of_proto(name, proto) for name, proto in sorted(message.signature_def.items())}


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


def _unreachable(where: str, error: object) -> Unavailable:
    return Unavailable(
        f"The model server at {where} does not answer.\n"
        f"Expected: a server of TensorFlow Serving's protocol\n"
        f"Received: {error}\n"
        f"Next: start one with `keraspipe serve`, or give its address"
    )


def _refused(status: int, text: str, where: str) -> ServingError:
    try:
        message = json.loads(text, strict=False)["error"]
    except (ValueError, KeyError, TypeError):
        message = f"HTTP status {status} from {where}: {text[:200]}"
    return of_code(_CODES.get(status, Code.UNKNOWN), message)


__all__ = ["GrpcClient", "NotFound", "RestClient", "ServingError", "Unavailable", "VersionStatus"]
