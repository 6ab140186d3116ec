"""TensorFlow Serving's configuration files in protobuf's text form: batching, monitoring and TLS.

tensorflow-serving-api brings no classes for these three messages, so they are described here: text names its fields,
the numbers do not matter. The fourth file, `ModelServerConfig`, is read in `config.models`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from serving.errors import InvalidArgument, NotFound, ServingError
from serving.options import Batching

if TYPE_CHECKING:
    from pathlib import Path


DEFAULT_MONITORING_PATH = "/monitoring/prometheus/metrics"
# Messages of tensorflow/serving's monitoring_config.proto, ssl_config.proto and session_bundle_config.proto.
_MESSAGES = {
    "PrometheusConfig": {"enable": "bool", "path": "string"},
    "MonitoringConfig": {"prometheus_config": "PrometheusConfig"},
    "SSLConfig": {"server_key": "string", "server_cert": "string", "custom_ca": "string", "client_verify": "bool"},
    "BatchingParameters": {
        "max_batch_size": "Int64Value",
        "batch_timeout_micros": "Int64Value",
        "max_enqueued_batches": "Int64Value",
        "num_batch_threads": "Int64Value",
        "thread_pool_name": "StringValue",
        "allowed_batch_sizes": "repeated int64",
        "pad_variable_length_inputs": "bool",
        "enable_large_batch_splitting": "BoolValue",
        "max_execution_batch_size": "Int64Value",
    },
}


def read_batching(path: Path) -> Batching:
    """The parameters of a `BatchingParameters` in text form; upstream's defaults where it is silent.

    Raises:
        InvalidArgument: A size or a number of threads is not positive.
        ServingError: The file is missing or is no `BatchingParameters`.
    """
    message = read_text_proto(path, "BatchingParameters")
    for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads", "max_execution_batch_size"):
        if message.HasField(name) and getattr(message, name).value < 1:
            raise InvalidArgument(f"{name} must be positive; was {getattr(message, name).value} in '{path}'")
    default = Batching()
    return Batching(
        max_batch_size=_wrapped_value(message, "max_batch_size", default.max_batch_size),
        timeout_micros=max(0, _wrapped_value(message, "batch_timeout_micros", default.timeout_micros)),
        max_enqueued_batches=_wrapped_value(message, "max_enqueued_batches", default.max_enqueued_batches),
        threads=_wrapped_value(message, "num_batch_threads", default.threads),
        allowed_batch_sizes=tuple(message.allowed_batch_sizes),
        pad_variable_length_inputs=message.pad_variable_length_inputs,
        split_large_batches=bool(_wrapped_value(message, "enable_large_batch_splitting", default.split_large_batches)),
        max_execution_batch_size=_wrapped_value(message, "max_execution_batch_size", default.max_execution_batch_size),
    )


def _wrapped_value(message: Any, name: str, default: int) -> int:
    """A wrapped number, which differs from 0 when it is not set."""
    return int(getattr(message, name).value) if message.HasField(name) else default


def read_monitoring_path(path: Path) -> str | None:
    """The path of the metrics on the REST port; None where the file does not enable them.

    Raises:
        ServingError: The file is missing or is no `MonitoringConfig` in text form.
    """
    prometheus = read_text_proto(path, "MonitoringConfig").prometheus_config
    return (prometheus.path or DEFAULT_MONITORING_PATH) if prometheus.enable else None


def read_text_proto(path: Path, name: str) -> Any:
    """A message out of a file.

    Args:
        path: The file, in UTF-8.
        name: `MonitoringConfig`, `SSLConfig` or `BatchingParameters`.

    Raises:
        NotFound: There is no such file.
        InvalidArgument: It is not this message in text form; the text begins as upstream's does.
        ServingError: It cannot be read.
    """
    from google.protobuf import text_format

    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), _message_class(name)())
    except FileNotFoundError as error:
        raise NotFound(f"{path}; No such file or directory") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"Invalid protobuf file: '{path}': tensorflow.serving.{name}: {error}") from error
    except OSError as error:
        raise ServingError(f"{path}; {error.strerror}") from error


@functools.cache
def _message_class(name: str) -> type:
    """Returns the class of a message, in a separate pool: another library may register the real one."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(
        name="serving/text_proto.proto",
        package="tensorflow.serving",
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    for message, fields in _MESSAGES.items():
        added = file.message_type.add(name=message)
        for number, (field, kind) in enumerate(fields.items(), start=1):
            _describe_field(added.field.add(name=field, number=number), kind)
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))


def _describe_field(field: Any, kind: str) -> None:
    """Fill in a field's type and label."""
    base = kind.removeprefix("repeated ")
    field.label = field.LABEL_OPTIONAL if base == kind else field.LABEL_REPEATED
    if base.islower():
        field.type = getattr(field, f"TYPE_{base.upper()}")
    else:
        field.type = field.TYPE_MESSAGE
        field.type_name = f".tensorflow.serving.{base}" if base in _MESSAGES else f".google.protobuf.{base}"


class SslConfig(NamedTuple):
    """What `grpc.ssl_server_credentials` takes; all PEM.

    Attributes:
        key: The server's private key.
        certificate: The server's certificate chain.
        client_ca: Authorities of client certificates; None for the system's.
        client_verify: Whether a client must show a certificate.
    """

    key: bytes
    certificate: bytes
    client_ca: bytes | None
    client_verify: bool


def read_ssl_config(path: Path) -> SslConfig:
    """The contents of an `SSLConfig` in text form.

    Raises:
        InvalidArgument: Key or certificate is missing; upstream would start and refuse every client.
        ServingError: The file is missing or is no `SSLConfig`.
    """
    message = read_text_proto(path, "SSLConfig")
    missing = [name for name in ("server_key", "server_cert") if not getattr(message, name)]
    if missing:
        raise InvalidArgument(f"Invalid SSLConfig file: '{path}': {' and '.join(missing)} must be set")
    return SslConfig(
        message.server_key.encode(),
        message.server_cert.encode(),
        message.custom_ca.encode() or None,
        message.client_verify,
    )
