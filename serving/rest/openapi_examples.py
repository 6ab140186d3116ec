"""Valid request bodies of a model, as examples in its OpenAPI document.

The best ones are a version's own warm-up requests, which are real data. Where there are none, ones and short texts of
the declared shape do, unless the input is of a kind that cannot be made up: an image, a serialized example.
"""

from __future__ import annotations

import base64
import json
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.core import classify_regress
from serving.core.predict import DEFAULT_SIGNATURE
from serving.errors import DataLoss, InvalidArgument, Unimplemented
from serving.request_log import records
from serving.rest import openapi_schema
from serving.wire import tensor_proto

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from serving.core.signature import Signature, TensorInfo

Body = dict[str, Any]
Samples = dict[tuple[str, str], Any]
_RECORDS = 32
_MAX_FILE = 2**23  # bytes of warm-up requests; more would delay the response
_MAX_BODY = 2**16  # bytes of JSON; longer ones are no good to read
_EXAMPLES = {"inputs", "examples", "input_examples"}  # input names that exporters use for serialized examples
METHODS = {"classify": classify_regress.CLASSIFY, "regress": classify_regress.REGRESS}


def read_samples(model_path: Path) -> Samples:
    """The first warm-up request of each kind and signature.

    Args:
        model_path: Folder of the version.

    Returns:
        By `(predict | classify | regress, signature)`: arrays by input name, or a `tensorflow.serving.Input`.
        Empty where there is no such file, or none that can be read.
    """
    path = model_path / "assets.extra" / "tf_serving_warmup_requests"
    samples: Samples = {}
    try:
        if path.stat().st_size > _MAX_FILE:
            return samples
        for log in islice(records.read_logs(path), _RECORDS):
            _add_sample(log, samples)
    except (OSError, DataLoss, ValueError, InvalidArgument):  # a warm-up file that is damaged fails the load, not us
        return samples
    return samples


def _add_sample(log: Any, samples: Samples) -> None:
    kind = str(log.WhichOneof("log_type")).removesuffix("_log")
    if kind not in {"predict", *METHODS}:
        return
    request = getattr(log, f"{kind}_log").request
    key = (kind, request.model_spec.signature_name or DEFAULT_SIGNATURE)
    if key in samples:
        return
    if kind == "predict":
        samples[key] = {name: tensor_proto.decode(value, name) for name, value in request.inputs.items()}
    else:
        samples[key] = request.input


def accepts_examples(signature: Signature, verb: str) -> bool:
    """Whether a signature is of the form that `classify` or `regress` needs."""
    try:
        task = classify_regress.task(signature, METHODS[verb])
    except (InvalidArgument, Unimplemented):
        return False
    return bool(task.fetches) and all(info.dtype.name == "string" for info in signature.inputs.values())


def predict_bodies(signature: Signature, signatures: Mapping[str, Signature], samples: Samples) -> dict[str, Body]:
    """Predict requests of one signature, by form: `rows` and `columns`; none where none is sure to run."""
    if any(info.dtype.name not in openapi_schema.SUPPORTED_TYPES for info in _all_tensors(signature)):
        return {}
    inputs = _arrays(signature, signatures, samples)
    if not inputs:
        return {}
    values = {name: _to_json(array.tolist(), name) for name, array in inputs.items()}
    base = {} if signature.name == DEFAULT_SIGNATURE else {"signature_name": signature.name}
    forms: dict[str, Body] = {}
    if _gives_rows(signature) and openapi_schema.has_rows(signature) and _has_equal_rows(inputs):
        forms["rows"] = {**base, "instances": _instances(values)}
    forms["columns"] = {**base, "inputs": values if len(values) > 1 else next(iter(values.values()))}
    return {form: body for form, body in forms.items() if _is_short(body)}


def _gives_rows(signature: Signature) -> bool:
    """Whether all outputs are declared to have the same first dimension: else the answer may be no rows."""
    shapes = [info.shape for info in signature.outputs.values()]
    return all(shapes) and len({shape[0] for shape in shapes if shape}) == 1


def _has_equal_rows(inputs: Mapping[str, np.ndarray]) -> bool:
    """Whether all have the same first dimension."""
    return len({array.shape[:1] for array in inputs.values()}) == 1 and all(array.ndim for array in inputs.values())


def _all_tensors(signature: Signature) -> tuple[TensorInfo, ...]:
    return (*signature.inputs.values(), *signature.outputs.values())


def _instances(values: dict[str, Any]) -> list[Any]:
    if len(values) == 1:
        return list(next(iter(values.values())))
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _arrays(signature: Signature, signatures: Mapping[str, Signature], samples: Samples) -> dict[str, np.ndarray]:
    for name, other in {signature.name: signature, **signatures}.items():
        if ("predict", name) in samples and other.dtypes == signature.dtypes:
            recorded_inputs = samples["predict", name]
            if recorded_inputs.keys() == signature.inputs.keys():
                return _first_row(signature, recorded_inputs)
    return {} if _cannot_be_made_up(signature) else {name: _ones(info) for name, info in signature.inputs.items()}


def _first_row(signature: Signature, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    open_ended = all(info.shape and info.shape[0] < 0 for info in signature.inputs.values())
    return {name: arrays[name][:1] if open_ended and arrays[name].ndim else arrays[name] for name in signature.inputs}


def _cannot_be_made_up(signature: Signature) -> bool:
    if signature.method in METHODS.values():  # takes examples, whatever its types say
        return True
    texts = [name for name, info in signature.inputs.items() if info.dtype.name == "string"]
    return any(name.endswith("_bytes") or name in _EXAMPLES for name in texts)


def _ones(info: TensorInfo) -> np.ndarray:
    sizes = [1 if size < 0 else size for size in (info.shape if info.shape is not None else (1,))]
    if info.dtype.name == "string":
        return np.full(sizes, b"text", dtype=object)
    return np.ones(sizes, dtype=info.dtype.numpy)


def _to_json(value: Any, name: str) -> Any:
    """Nested lists as JSON has them; bytes as text where they are text."""
    if isinstance(value, list):
        return [_to_json(item, name) for item in value]
    return _text_or_base64(value, name) if isinstance(value, bytes) else value


def _text_or_base64(value: bytes, name: str) -> str | dict[str, str]:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    if name.endswith("_bytes") or not text.isprintable():
        return {"b64": base64.b64encode(value).decode()}
    return text


def _is_short(body: Body) -> bool:
    try:
        return len(json.dumps(body, allow_nan=False)) <= _MAX_BODY
    except ValueError:  # NaN or infinity, which are no JSON
        return False


def examples_body(verb: str, signature: Signature, samples: Samples) -> Body | None:
    """A classify or regress request; only a recorded one, since a signature does not name the features."""
    given = samples.get((verb, signature.name))
    if given is None:
        return None
    shared = given.WhichOneof("kind") == "example_list_with_context"
    group = given.example_list_with_context if shared else given.example_list
    body: Body = {} if signature.name == DEFAULT_SIGNATURE else {"signature_name": signature.name}
    if shared:
        body["context"] = _features(group.context)
    body["examples"] = [_features(example) for example in group.examples[:1]]
    return body if body["examples"] and _is_short(body) else None


def _features(example: Any) -> dict[str, Any]:
    features = {}
    for name, feature in sorted(example.features.feature.items()):
        kind = feature.WhichOneof("kind")
        values = [_to_json(_float(value), name) for value in getattr(feature, kind).value] if kind else []
        features[name] = values[0] if len(values) == 1 else values
    return features


def _float(value: Any) -> Any:
    """A float32 with the digits that it needs, not those of its double."""
    return float(str(np.float32(value))) if isinstance(value, float) else value
