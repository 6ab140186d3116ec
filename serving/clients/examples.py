"""Feature values as `tf.train.Example`s, and those as the JSON of the REST API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from serving.clients import values
from serving.wire import dtype as dtypes
from serving.wire import protos

if TYPE_CHECKING:
    from serving.errors import InvalidArgument

_INT64, _FLOAT = dtypes.of_number(9), dtypes.of_number(1)


def messages(given: Iterable[Any]) -> list[Any]:
    """One `tf.train.Example` each.

    Args:
        given: Feature values by name (see `message`), serialized Examples or Examples.

    Raises:
        InvalidArgument: None at all, or one that is no Example.
    """
    if isinstance(given, (Mapping, bytes, str)):
        raise _wrong("a list of examples", type(given).__name__)
    found = [message(one) for one in given]
    if not found:
        raise _wrong("one example or more", "none")
    return found


def message(given: Any) -> Any:
    """A `tf.train.Example`.

    Args:
        given: Feature values by name: numbers, str, bytes, a `Path` for its file's bytes, flat lists or arrays
            of them. Whole numbers make an int64 feature, others a float one: write 2.0 for a float feature.
    """
    example = type(protos.load("apis.input_pb2").ExampleListWithContext().context)()
    if isinstance(given, Mapping):
        example.features.SetInParent()
        for name, value in given.items():
            _fill(example.features.feature[name], value, f"Feature {name!r}")
        return example
    try:
        example.MergeFromString(given if isinstance(given, bytes) else given.SerializeToString())
    except Exception as error:  # protobuf's DecodeError, or no message at all
        raise _wrong("a dict of feature values or a serialized tf.train.Example", type(given).__name__) from error
    return example


def _fill(feature: Any, value: Any, what: str) -> None:
    found = values.raw(value, what)
    if found.dtype.kind in "OSUT":
        feature.bytes_list.value.extend(values.array(value, dtypes.STRING, what).reshape(-1).tolist())
    elif found.dtype.kind in "biu" and found.size:
        feature.int64_list.value.extend(values.converted(found, _INT64, what).reshape(-1).tolist())
    elif found.size:
        feature.float_list.value.extend(values.converted(found, _FLOAT, what).reshape(-1).tolist())


def _wrong(expected: str, received: str) -> InvalidArgument:
    return values.refused("The examples", expected, received, 'pass a list such as [{"age": 31, "name": "Ada"}]')


def plain(example: Any) -> dict[str, list[Any]]:
    """The features of an Example by name, as Python values."""
    found = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        found[name] = list(getattr(feature, kind).value) if kind else []
    return found
