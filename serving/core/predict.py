"""Predict: check named tensors against a signature, run the graph, name what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.core.work import Fetch
from serving.errors import FailedPrecondition, InvalidArgument
from serving.wire import dtype as dtypes
from serving.wire import tensor_proto

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np

    from serving.core.signature import Signature
    from serving.model import LoadedModel
    from serving.wire.dtype import Dtype

DEFAULT = "serving_default"


def run(
    model: LoadedModel,
    signature_name: str,
    inputs: Mapping[str, np.ndarray],
    output_filter: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """Run one signature.

    Args:
        model: The loaded version.
        signature_name: Key of the signature; empty for `serving_default`.
        inputs: Tensors by input name, of the declared types; shapes are the graph's own business.
        output_filter: Outputs to compute and return; empty for all.

    Returns:
        Tensors by output name; strings as objects of bytes.

    Raises:
        FailedPrecondition: No such signature.
        InvalidArgument: Inputs or filter do not fit the signature.
        ServingError: The graph failed; the code is TensorFlow's.
    """
    fetch, names = prepare(model, signature_name, inputs, output_filter)
    return dict(zip(names, model.run(fetch), strict=True))


def prepare(
    model: LoadedModel,
    signature_name: str,
    inputs: Mapping[str, np.ndarray],
    output_filter: Sequence[str] = (),
) -> tuple[Fetch, list[str]]:
    """What `run` asks of the graph, checked, and the names of what comes back, in order.

    Raises:
        FailedPrecondition: No such signature.
        InvalidArgument: Inputs or filter do not fit the signature.
    """
    signature = _signature(model, signature_name or DEFAULT)
    feeds = _feeds(signature, inputs)
    names = _fetches(signature, output_filter)
    check_types(feeds, {info.tensor: info.dtype for info in signature.inputs.values()})
    fetches = tuple(signature.outputs[name].tensor for name in names)
    return Fetch(tuple(feeds), fetches, list(feeds.values())), names


def _signature(model: LoadedModel, name: str) -> Signature:
    if name not in model.signatures:
        raise FailedPrecondition(f'Serving signature key "{name}" not found.')
    return model.signatures[name]


def _feeds(signature: Signature, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays by tensor name, sorted as TensorFlow's session numbers its arguments."""
    _check_count(signature, inputs)
    values = {}
    for alias, info in signature.inputs.items():
        if alias in inputs:
            values[info.tensor] = inputs[alias]
        elif alias in signature.defaults:
            values[info.tensor] = tensor_proto.decode(signature.defaults[alias], alias)
        else:
            raise InvalidArgument(
                f"Signature input alias: {alias}(feed name: {info.tensor}) not found in request and no "
                f"default value provided. Inputs expected to be in the set {{{','.join(signature.inputs)}}}."
            )
    if not inputs.keys() <= signature.inputs.keys():
        raise InvalidArgument(
            "Inputs contains invalid name. Request inputs are expected to be a subset of the set "
            f"{{{','.join(signature.inputs)}}}."
        )
    return dict(sorted(values.items()))


def _check_count(signature: Signature, inputs: Mapping[str, np.ndarray]) -> None:
    sent, wanted = inputs.keys(), signature.inputs.keys()
    if len(sent) == len(wanted) or (signature.defaults and len(sent) < len(wanted)):
        return
    raise InvalidArgument(
        f"input size does not match signature: {len(sent)}!={len(wanted)} len({_braces(sent)}) != "
        f"len({_braces(wanted)}). Sent extra: {_braces(sent - wanted)}. "
        f"Missing but required: {_braces(wanted - sent)}."
    )


def _braces(names: Iterable[str]) -> str:
    return f"{{{','.join(sorted(names))}}}"


def _fetches(signature: Signature, output_filter: Sequence[str]) -> list[str]:
    for index, alias in enumerate(output_filter):
        if alias not in signature.outputs:
            raise InvalidArgument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                f"{_braces(signature.outputs)}."
            )
        if alias in output_filter[:index]:
            raise InvalidArgument(f"duplicate output tensor alias: {alias}")
    return list(output_filter or signature.outputs)


def check_types(feeds: Mapping[str, np.ndarray], wanted: Mapping[str, Dtype]) -> None:
    """Refuse arrays of another type with TensorFlow Serving's text (the session's own is another).

    Raises:
        InvalidArgument: `Expects arg[0] to be float but bool is provided`.
    """
    for index, (tensor, array) in enumerate(feeds.items()):
        given = dtypes.of_array(array)
        if given is not wanted[tensor]:
            raise InvalidArgument(f"Expects arg[{index}] to be {wanted[tensor].name} but {given.name} is provided")
