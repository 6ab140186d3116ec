"""GetModelStatus and GetModelMetadata: states and signatures as the messages that both transports send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from serving.errors import InvalidArgument
from serving.wire import protos

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serving.core.models import Models, ModelSpec

_FIELD = "signature_def"


def status_response(models: Models, spec: ModelSpec) -> Any:
    """A `GetModelStatusResponse`: the state of every version, or of the one in the request.

    Raises:
        NotFound: `Could not find any versions of model NAME`.
    """
    response = protos.load("apis.get_model_status_pb2").GetModelStatusResponse()
    for servable in models.statuses(spec):
        entry = response.model_version_status.add(version=servable.version, state=int(servable.state))
        entry.status.error_code = int(servable.error.code) if servable.error else 0
        entry.status.error_message = servable.error.message if servable.error else ""
    return response


def metadata_response(models: Models, spec: ModelSpec, fields: Iterable[str] = (_FIELD,)) -> Any:
    """A `GetModelMetadataResponse`: the signatures of one version.

    Raises:
        InvalidArgument: A field other than `signature_def`, or none.
        NotFound: `Servable not found for request: Latest(NAME)`.
    """
    _check_fields(list(fields))
    module = protos.load("apis.get_model_metadata_pb2")
    response = module.GetModelMetadataResponse()
    with models.lease(spec) as (servable, model):
        signatures = module.SignatureDefMap(signature_def=model.signature_defs)
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        response.metadata[_FIELD].Pack(signatures)
    return response


def _check_fields(fields: list[str]) -> None:
    if not fields:
        raise InvalidArgument("GetModelMetadataRequest must specify at least one metadata_field")
    for field in fields:
        if field != _FIELD:
            raise InvalidArgument(f"Metadata field {field} is not supported")
