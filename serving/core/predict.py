"""Predict: check named tensors against a signature, run the graph, name the outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.core.work import Graph, RunArgs
from serving.errors import FailedPrecondition, InvalidArgument
from serving.wire import dtypes, tensor_proto
from serving.wire.strings import as_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    import numpy as np

    from serving.core.signature import Signature
    from serving.wire.dtypes import Dtype
    from serving.wire.strings import Tensor

DEFAULT_SIGNATURE = "serving_default"


def run(
    model: Graph,
    signature_name: str,
    inputs: Mapping[str, Tensor],
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
    return dict(zip(names, map(as_array, model.run(fetch)), strict=True))


def prepare(
    model: Graph,
    signature_name: str,
    inputs: Mapping[str, Tensor],
    output_filter: Sequence[str] = (),
) -> tuple[RunArgs, list[str]]:
    """What `run` asks of the graph, checked, and the names of what comes back, in order.

    Raises:
        FailedPrecondition: No such signature.
        InvalidArgument: Inputs or filter do not fit the signature.
    """
    signature = _find_signature(model, signature_name or DEFAULT_SIGNATURE)
    arrays = _feed_arrays(signature, inputs)
    check_types(arrays, signature.feed_dtypes)
    names = _output_names(signature, output_filter)
    fetches = tuple(signature.outputs[name].tensor for name in names) if output_filter else signature.fetches
    return RunArgs(signature.feeds, fetches, arrays), names


def check_names(model: Graph, signature_name: str, given: Iterable[str]) -> None:
    """Refuse the wrong number of inputs, before their values are read.

    Raises:
        FailedPrecondition: No such signature.
        InvalidArgument: `input size does not match signature: ...`
    """
    _check_count(_find_signature(model, signature_name), set(given))


def _find_signature(model: Graph, name: str) -> Signature:
    if name not in model.signatures:
        raise FailedPrecondition(f'Serving signature key "{name}" not found.')
    return model.signatures[name]


def _feed_arrays(signature: Signature, inputs: Mapping[str, Tensor]) -> list[Tensor]:
    """What is fed, in the signature's order."""
    if inputs.keys() == signature.inputs.keys():
        return [inputs[alias] for alias, _ in signature.feed_dtypes]
    _check_count(signature, inputs.keys())
    values = {alias: _input_or_default(signature, alias, inputs) for alias in signature.inputs}
    if not inputs.keys() <= signature.inputs.keys():
        raise InvalidArgument(
            "Inputs contains invalid name. Request inputs are expected to be a subset of the set "
            f"{{{','.join(signature.inputs)}}}."
        )
    return [values[alias] for alias, _ in signature.feed_dtypes]


def _input_or_default(signature: Signature, alias: str, inputs: Mapping[str, Tensor]) -> Tensor:
    if alias in inputs:
        return inputs[alias]
    if alias in signature.defaults:
        return tensor_proto.decode(signature.defaults[alias], alias)
    raise InvalidArgument(
        f"Signature input alias: {alias}(feed name: {signature.inputs[alias].tensor}) not found in request and no "
        f"default value provided. Inputs expected to be in the set {{{','.join(signature.inputs)}}}."
    )


def _check_count(signature: Signature, sent: AbstractSet[str]) -> None:
    wanted = signature.inputs.keys()
    if len(sent) == len(wanted) or (signature.defaults and len(sent) < len(wanted)):
        return
    raise InvalidArgument(
        f"input size does not match signature: {len(sent)}!={len(wanted)} len({_braces(sent)}) != "
        f"len({_braces(wanted)}). Sent extra: {_braces(sent - wanted)}. "
        f"Missing but required: {_braces(wanted - sent)}."
    )


def _braces(names: Iterable[str]) -> str:
    return f"{{{','.join(sorted(names))}}}"


def _output_names(signature: Signature, output_filter: Sequence[str]) -> list[str]:
    for index, alias in enumerate(output_filter):
        if alias not in signature.outputs:
            raise InvalidArgument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                f"{_braces(signature.outputs)}."
            )
        if alias in output_filter[:index]:
            raise InvalidArgument(f"duplicate output tensor alias: {alias}")
    return list(output_filter or signature.outputs)


def check_types(arrays: Iterable[Tensor], wanted: Iterable[tuple[str, Dtype]]) -> None:
    """Refuse arrays of another type with TensorFlow Serving's text (the session's own is another).

    Raises:
        InvalidArgument: `Expects arg[0] to be float but bool is provided`.
    """
    for index, (array, (_, dtype)) in enumerate(zip(arrays, wanted, strict=True)):
        given = dtypes.from_array(array)
        if given is not dtype:
            raise InvalidArgument(f"Expects arg[{index}] to be {dtype.name} but {given.name} is provided")
