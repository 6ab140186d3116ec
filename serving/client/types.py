"""The types of the client API: the model of a call, feature values as Examples, states of versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serving.client import values
from serving.core.signature import read_signature
from serving.errors import InvalidArgument
from serving.wire import dtypes, protos

if TYPE_CHECKING:
    import numpy as np

    from serving.core.signature import Signature


_INT64, _FLOAT = dtypes.from_number(9), dtypes.from_number(1)
_MAX_VERSION = 2**63
Arrays = Mapping[str, "np.ndarray"]
Classes = list[list[tuple[str | bytes, float]]]


def example_messages(given: Iterable[Any]) -> list[Any]:
    """One `tf.train.Example` each.

    Args:
        given: Feature values by name (see `example_message`), serialized Examples or Examples.

    Raises:
        InvalidArgument: None at all, or one that is no Example.
    """
    if isinstance(given, (Mapping, bytes, str)):
        raise _examples_error("a list of examples", type(given).__name__)
    examples = [example_message(example) for example in given]
    if not examples:
        raise _examples_error("one example or more", "none")
    return examples


def example_message(given: Any) -> Any:
    """A `tf.train.Example`.

    Args:
        given: Feature values by name: numbers, str, bytes, a `Path` for its file's bytes, flat lists or arrays
            of them. Whole numbers make an int64 feature, others a float one: write 2.0 for a float feature.
    """
    example = type(protos.load("apis.input_pb2").ExampleListWithContext().context)()
    if isinstance(given, Mapping):
        example.features.SetInParent()
        for name, value in given.items():
            _fill_feature(example.features.feature[name], value, f"Feature {name!r}")
        return example
    try:
        example.MergeFromString(given if isinstance(given, bytes) else given.SerializeToString())
    except Exception as error:  # protobuf's DecodeError, or no message at all
        raise _examples_error(
            "a dict of feature values or a serialized tf.train.Example", type(given).__name__
        ) from error
    return example


def _fill_feature(feature: Any, value: Any, what: str) -> None:
    array = values.raw_array(value, what)
    if array.dtype.kind in "OSUT":
        feature.bytes_list.value.extend(values.to_array(value, dtypes.STRING, what).reshape(-1).tolist())
    elif array.dtype.kind in "biu" and array.size:
        feature.int64_list.value.extend(values.convert(array, _INT64, what).reshape(-1).tolist())
    elif array.size:
        feature.float_list.value.extend(values.convert(array, _FLOAT, what).reshape(-1).tolist())


def _examples_error(expected: str, received: str) -> InvalidArgument:
    return values.send_error("The examples", expected, received, 'pass a list such as [{"age": 31, "name": "Ada"}]')


def plain_features(example: Any) -> dict[str, list[Any]]:
    """The features of an Example by name, as Python values."""
    features = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        features[name] = list(getattr(feature, kind).value) if kind else []
    return features


@dataclass(frozen=True)
class ModelRef:
    """A model, and the version of it by number or by label; with neither the highest that is loaded.

    Raises:
        InvalidArgument: No name, both a version and a label, or a version that is no number.
    """

    name: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise _reference_error("a model's name", self.name, "pass the name that the server serves it under")
        if self.version is not None and self.label is not None:
            raise _reference_error(
                "a version or a label", f"{self.version} and {self.label!r}", "leave one of them out"
            )
        if self.version is not None and not _is_version(self.version):
            raise _reference_error(
                "a version from 0 to 2**63 - 1", repr(self.version), "see Client.status for the versions"
            )
        if self.label == "":
            raise _reference_error("a label", "''", "pass label=None for the highest version")


def _is_version(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_VERSION


def _reference_error(expected: str, received: object, action: str) -> InvalidArgument:
    return InvalidArgument(
        f"This names no model version.\nExpected: {expected}\nReceived: {received!s}\nNext: {action}"
    )


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


def read_signatures(message: Any) -> dict[str, Signature]:
    """The signatures of a `SignatureDefMap`, by name."""
    return {name: read_signature(name, proto) for name, proto in sorted(message.signature_def.items())}
