"""The client of the REST API."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import numpy as np

from serving.clients.reply import Inputs, VersionStatus, signatures, unreachable
from serving.clients.retry import retried
from serving.errors import Code, ServingError, of_code
from serving.wire import protos

if TYPE_CHECKING:
    from types import TracebackType

    from serving.core.signature import Signature
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


class RestClient:
    """Talks to the REST API, in its columnar format.

    Args:
        url: Where the server listens, without `/v1`.
        token: Sent as bearer token, for a proxy or server that asks for one.
        timeout_s: How long one call may take, tries included.
    """

    def __init__(self, url: str = "http://127.0.0.1:8501", token: str | None = None, timeout_s: float = 60.0) -> None:
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
        return signatures(json_format.ParseDict(answer, message, ignore_unknown_fields=True))

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
        """Types by output name.

        An answer with one output does not name it, the metadata does; asked for once, and again when a new
        version answers in another form.
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
            raise of_code(Code.DEADLINE_EXCEEDED, f"No answer from {self._url} within {timeout_s:.1f} s") from error
        except requests.RequestException as error:
            raise unreachable(self._url, error) from error
        text = reply.content.decode("utf-8", "surrogateescape")
        if reply.status_code != requests.codes.ok:
            raise _refused(reply.status_code, text, f"{self._url}{path}")
        return json.loads(text, strict=False)


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
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode("utf-8", "surrogateescape")


def _fits(signature: Signature, answer: Any) -> bool:
    """Whether an answer has the form of the signature's outputs."""
    named = isinstance(answer, dict) and "b64" not in answer
    return named == (len(signature.outputs) > 1) and (not named or answer.keys() == signature.outputs.keys())


def _refused(status: int, text: str, where: str) -> ServingError:
    try:
        message = json.loads(text, strict=False)["error"]
    except (ValueError, KeyError, TypeError):
        message = f"HTTP status {status} from {where}: {text[:200]}"
    return of_code(_CODES.get(status, Code.UNKNOWN), message)
