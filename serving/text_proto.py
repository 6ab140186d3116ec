"""TensorFlow Serving's configuration files in protobuf's text form.

tensorflow-serving-api brings no classes for three of them, so they are described here: text names its fields,
the numbers do not matter.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from serving.errors import InvalidArgument, NotFound, ServingError

if TYPE_CHECKING:
    from pathlib import Path

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


def read(path: Path, name: str) -> Any:
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
        return text_format.Parse(path.read_text(encoding="utf-8"), _class(name)())
    except FileNotFoundError as error:
        raise NotFound(f"{path}; No such file or directory") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"Invalid protobuf file: '{path}': tensorflow.serving.{name}: {error}") from error
    except OSError as error:
        raise ServingError(f"{path}; {error.strerror}") from error


@functools.cache
def _class(name: str) -> type:
    """The class of a message, in a pool of its own: another library may bring the real one."""
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
            _describe(added.field.add(name=field, number=number), kind)
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))


def _describe(field: Any, kind: str) -> None:
    """Fill in a field's type and label."""
    base = kind.removeprefix("repeated ")
    field.label = field.LABEL_OPTIONAL if base == kind else field.LABEL_REPEATED
    if base.islower():
        field.type = getattr(field, f"TYPE_{base.upper()}")
    else:
        field.type = field.TYPE_MESSAGE
        field.type_name = f".tensorflow.serving.{base}" if base in _MESSAGES else f".google.protobuf.{base}"
