"""An OpenAPI 3.1 document of one model, made from its signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from serving.core.predict import DEFAULT_SIGNATURE
from serving.rest import openapi_examples, openapi_schema, openapi_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from serving.core.signature import Signature
    from serving.rest.openapi_examples import Samples
    from serving.rest.openapi_schema import Schema

_ERRORS = {
    400: "The request does not fit the model, or the model's graph refuses it.",
    401: "The token is missing or wrong.",
    404: "No such model, version or label is loaded.",
    413: "The request is too large.",
    429: "Too many requests at once.",
    500: "The server or the graph failed.",
    501: "The API has no form for a value of this type.",
    503: "The model cannot answer now; trying again may work.",
    504: "The answer took too long.",
}
_TARGETS = {
    "": ((), ""),
    "Version": (("version",), "/versions/{version}"),
    "Label": (("label",), "/labels/{label}"),
}
_PARAMETERS: dict[str, Schema] = {
    "version": {"type": "integer", "minimum": 0, "description": "Number of a loaded version."},
    "label": {"type": "string", "description": "Label of a loaded version, percent-encoded."},
}
_STATES = ["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"]
_FEATURE: Schema = {
    "anyOf": [
        *(scalars := [{"type": "number"}, {"type": "boolean"}, {"type": "string"}, openapi_schema.BASE64]),
        {"type": "array", "items": {"anyOf": scalars}},
    ]
}
_EXAMPLE: Schema = {"type": "object", "description": "Values by feature name.", "additionalProperties": _FEATURE}


def document(
    name: str,
    version: int,
    signatures: Mapping[str, Signature],
    server_url: str,
    samples: Samples | None = None,
    reserved: Collection[str] = (),
) -> dict[str, Any]:
    """The document.

    Args:
        name: The model's name; percent-encoded in the paths.
        version: The version that the signatures are of.
        signatures: What can be called.
        server_url: Address of the REST API, such as `http://127.0.0.1:8501`.
        samples: Real requests (`openapi_examples.read_samples`) to show as examples.
        reserved: Signatures that no client calls; a language model has some.

    Returns:
        OpenAPI 3.1 as plain data. Every example in it is a request that the model answers.
    """
    callable_ = {key: signature for key, signature in signatures.items() if signature.inputs and key not in reserved}
    verbs = _verbs(callable_, samples or {})
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": str(version), "description": _description(callable_)},
        "servers": [{"url": server_url}],
        "security": [{}, {"token": []}],
        "paths": {
            **_paths(f"/v1/models/{quote(name, safe='', errors='surrogateescape')}", verbs),
            **openapi_texts.paths(name, writes=bool(reserved), embeds=_embeds_texts(signatures)),
        },
        "components": {
            "schemas": {"Error": _error(), "Status": _status(), "Metadata": _metadata(), **_schemas(verbs)},
            "requestBodies": {verb: _body(parts) for verb, parts in verbs.items()},
            "responses": _responses(verbs),
            "parameters": {key: _parameter(key) for key in _PARAMETERS},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _embeds_texts(signatures: Mapping[str, Signature]) -> bool:
    inputs = signatures["embed"].inputs if "embed" in signatures else {}
    return [(info.dtype.name, name.endswith("_bytes")) for name, info in inputs.items()] == [("string", False)]


def _description(signatures: Mapping[str, Signature]) -> str:
    return (
        f"Signatures: {', '.join(signatures) or 'none that REST can call'}. Numbers that JSON does not have are "
        "written NaN, Infinity and -Infinity."
    )


class _Verb:
    """What one verb takes and gives: schemas by component name, examples by title."""

    def __init__(self) -> None:
        self.requests: dict[str, Schema] = {}
        self.answers: dict[str, Schema] = {}
        self.examples: dict[str, Any] = {}


def _verbs(signatures: Mapping[str, Signature], samples: Samples) -> dict[str, _Verb]:
    """The verbs that at least one signature is of the form for."""
    verbs: dict[str, _Verb] = {}
    for signature in signatures.values():
        _add_predict(
            verbs.setdefault("predict", _Verb()),
            signature,
            openapi_examples.predict_bodies(signature, signatures, samples),
        )
        for verb in openapi_examples.METHODS:
            if openapi_examples.accepts_examples(signature, verb):
                example = openapi_examples.examples_body(verb, signature, samples)
                _add_examples(verbs.setdefault(verb, _Verb()), verb, signature, example)
    return verbs


def _add_predict(verb: _Verb, signature: Signature, bodies: Mapping[str, Any]) -> None:
    forms: dict[str, tuple[str, Callable[[Signature], Schema], str, Callable[[Signature], Schema]]] = {
        "rows": ("instances", openapi_schema.rows_schema, "predictions", openapi_schema.predictions_schema),
        "columns": ("inputs", openapi_schema.columns_schema, "outputs", openapi_schema.outputs_schema),
    }
    for form, (key, takes, answer, gives) in forms.items():
        if form == "columns" or openapi_schema.has_rows(signature):
            name = f"{_key(signature.name)}-{form}"
            verb.requests[name] = _request(signature, {key: takes(signature)})
            verb.answers[f"{name}-answer"] = _object_with(answer, gives(signature))
    for form, body in bodies.items():
        verb.examples[f"{signature.name}, {form}"] = {"value": body}


def _add_examples(verb: _Verb, method: str, signature: Signature, example: Any) -> None:
    name = f"{_key(signature.name)}-{method}"
    items: Schema = {"type": "array", "minItems": 1, "items": _EXAMPLE}
    verb.requests[name] = _request(signature, {"examples": items}, {"context": _EXAMPLE})
    verb.answers = {f"{method}-answer": _object_with("results", _results(method))}
    if example:
        verb.examples[signature.name] = {"value": example}


def _results(method: str) -> Schema:
    if method == "regress":
        return {"type": "array", "items": {"type": "number"}}
    pair = {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}], "minItems": 2, "maxItems": 2}
    return {"type": "array", "items": {"type": "array", "items": pair}}


def _request(signature: Signature, needed: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    named = [] if signature.name == DEFAULT_SIGNATURE else ["signature_name"]
    name = {"signature_name": {"const": signature.name}}
    return {
        "type": "object",
        "properties": {**name, **needed, **(optional or {})},
        "required": [*named, *needed],
    }


def _object_with(key: str, value: Schema) -> Schema:
    return {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}


def _key(name: str) -> str:
    """A name in the letters that a component may have; different names stay different."""
    plain = quote(name, safe="", errors="surrogateescape")
    return plain.replace(".", ".2E").replace("~", ".7E").replace("%", ".")


def _schemas(verbs: Mapping[str, _Verb]) -> dict[str, Schema]:
    return {name: component for verb in verbs.values() for name, component in {**verb.requests, **verb.answers}.items()}


def _reference(kind: str, name: str | int) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _body(verb: _Verb) -> dict[str, Any]:
    content = {"schema": {"oneOf": [_reference("schemas", name) for name in verb.requests]}}
    examples = {"examples": verb.examples} if verb.examples else {}
    return {"required": True, "content": {"application/json": {**content, **examples}}}


def _responses(verbs: Mapping[str, _Verb]) -> dict[str, Any]:
    answers = {
        verb: _response("The answer.", {"anyOf": [_reference("schemas", name) for name in parts.answers]})
        for verb, parts in verbs.items()
    }
    described = {
        "status": _response("State of each version, highest first.", _reference("schemas", "Status")),
        "metadata": _response("Signatures of the version.", _reference("schemas", "Metadata")),
    }
    errors = {str(code): _response(text, _reference("schemas", "Error")) for code, text in _ERRORS.items()}
    return {**answers, **described, **errors}


def _response(text: str, content: Schema) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": content}}}


def _paths(model: str, verbs: Mapping[str, _Verb]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for suffix, (parameters, target) in _TARGETS.items():
        given = {"parameters": [_reference("parameters", key) for key in parameters]} if parameters else {}
        for verb in verbs:
            post = {**_operation(verb + suffix, verb), "requestBody": _reference("requestBodies", verb)}
            paths[f"{model}{target}:{verb}"] = {**given, "post": post}
        paths[f"{model}{target}"] = {**given, "get": _operation(f"status{suffix}", "status")}
        paths[f"{model}{target}/metadata"] = {**given, "get": _operation(f"metadata{suffix}", "metadata")}
    return paths


def _operation(name: str, answer: str) -> dict[str, Any]:
    errors = {str(code): _reference("responses", code) for code in _ERRORS}
    return {"operationId": name, "responses": {"200": _reference("responses", answer), **errors}}


def _parameter(name: str) -> dict[str, Any]:
    kind = dict(_PARAMETERS[name])
    text = kind.pop("description")
    return {"name": name, "in": "path", "required": True, "description": text, "schema": kind}


def _error() -> Schema:
    return _object_with("error", {"type": "string"})


def _status() -> Schema:
    error = {"type": "object", "properties": {"error_code": {"type": "string"}, "error_message": {"type": "string"}}}
    version = {
        "type": "object",
        "properties": {"version": {"type": "string"}, "state": {"enum": _STATES}, "status": error},
        "required": ["version", "state", "status"],
    }
    return _object_with("model_version_status", {"type": "array", "items": version})


def _metadata() -> Schema:
    spec = {"type": "object", "properties": {"name": {"type": "string"}, "version": {"type": "string"}}}
    return {
        "type": "object",
        "properties": {"model_spec": spec, "metadata": {"type": "object"}},
        "required": ["model_spec", "metadata"],
    }
