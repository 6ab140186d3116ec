"""A signature of a SavedModel: the inputs that it takes and the outputs that it gives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from serving.errors import FailedPrecondition
from serving.wire import dtypes

if TYPE_CHECKING:
    from pathlib import Path

    from serving.wire.dtypes import Dtype

# A language model's signatures that only the server calls: they change the keys and values of conversations.
LANGUAGE_FILE = "assets.extra/language_model.json"
STATEFUL = ("prefill", "decode")


@dataclass(frozen=True)
class TensorInfo:
    """One named input or output.

    Attributes:
        tensor: Name of the tensor in the graph, such as `x:0`.
        dtype: Its type.
        shape: Declared sizes, -1 where any is right; None for any rank. The server never compares with it.
    """

    tensor: str
    dtype: Dtype
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Signature:
    """One entry of a SavedModel's signature map.

    Attributes:
        name: Key in the map.
        method: What it was exported for, such as `tensorflow/serving/predict`.
        inputs: Inputs by the name that clients use.
        outputs: Outputs by name.
        defaults: Names of the inputs that may be left out; the values are TensorProtos.
    """

    name: str
    method: str
    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]
    defaults: dict[str, Any]

    @cached_property
    def feeds(self) -> tuple[str, ...]:
        """Names of the tensors that are fed, sorted as TensorFlow's session numbers its arguments."""
        return tuple(sorted(info.tensor for info in self.inputs.values()))

    @cached_property
    def feed_dtypes(self) -> tuple[tuple[str, Dtype], ...]:
        """Name and type of each input, in the order of `feeds`."""
        ordered = sorted(self.inputs.items(), key=lambda item: item[1].tensor)
        return tuple((name, info.dtype) for name, info in ordered)

    @cached_property
    def fetches(self) -> tuple[str, ...]:
        """Names of the tensors of all outputs, in their order."""
        return tuple(info.tensor for info in self.outputs.values())

    @cached_property
    def dtypes(self) -> dict[str, Dtype]:
        """The type of every input."""
        return {name: info.dtype for name, info in self.inputs.items()}


def read_signature(name: str, proto: Any) -> Signature:
    """The signature that a `tensorflow.SignatureDef` describes."""
    return Signature(
        name=name,
        method=proto.method_name,
        inputs={key: _tensor_info(proto.inputs[key]) for key in sorted(proto.inputs)},
        outputs={key: _tensor_info(proto.outputs[key]) for key in sorted(proto.outputs)},
        defaults=dict(proto.defaults),
    )


def _tensor_info(proto: Any) -> TensorInfo:
    known = not proto.tensor_shape.unknown_rank
    shape = tuple(dim.size for dim in proto.tensor_shape.dim) if known else None
    return TensorInfo(tensor=proto.name, dtype=dtypes.from_number(proto.dtype), shape=shape)


def reserved_signatures(folder: Path) -> frozenset[str]:
    """Names of the signatures that no client calls: those of a language model that hold everybody's conversations."""
    return frozenset(STATEFUL) if (folder / LANGUAGE_FILE).is_file() else frozenset()


def check_reserved(reserved: frozenset[str], signature: str) -> None:
    """Refuses a client's call of a signature that only the server itself calls.

    Raises:
        FailedPrecondition: It is one of them.
    """
    if signature in reserved:
        raise FailedPrecondition(
            f'Signature "{signature}" holds the conversations of all clients, and is called by the server only.\n'
            'Expected: "generate", or POST /v1/chat/completions\n'
            f'Received: "{signature}"'
        )
