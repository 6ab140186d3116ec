"""What a caller passes to `predict`, as the tensors that a signature declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from serving.clients import values
from serving.errors import FailedPrecondition, InvalidArgument

if TYPE_CHECKING:
    import numpy as np

    from serving.core.signature import Signature


def signature(known: Mapping[str, Signature], name: str, model: str) -> Signature:
    """One of a model's signatures.

    Raises:
        FailedPrecondition: It has none of this name.
    """
    if name in known:
        return known[name]
    raise FailedPrecondition(
        f"{model} has no signature {name!r}.\n"
        f"Expected: {_listed(key for key in known if not key.startswith('__'))}\n"
        f"Received: {name!r}\n"
        f"Next: pass signature= with one of these"
    )


def arrays(inputs: Any, declared: Signature, *, fills_defaults: bool) -> dict[str, np.ndarray]:
    """Arrays of the declared types by input name.

    Args:
        inputs: Values by input name, or the one value of a signature with one input.
        declared: What the signature takes.
        fills_defaults: Whether the server has values for inputs with a default.

    Raises:
        InvalidArgument: A name or a value does not fit.
        NotFound: A path without file.
    """
    if not isinstance(inputs, Mapping):
        inputs = {_only(declared): inputs}
    required = [name for name in declared.inputs if not (fills_defaults and name in declared.defaults)]
    if not (inputs.keys() <= declared.inputs.keys() and inputs.keys() >= set(required)):
        raise InvalidArgument(
            f"The inputs do not fit signature {declared.name!r}.\n"
            f"Expected: {_listed(declared.inputs)}\n"
            f"Received: {_listed(inputs)}\n"
            f"Next: pass every input under its name{_default_hint(declared, fills_defaults=fills_defaults)}"
        )
    return {name: values.array(value, declared.inputs[name].dtype, f"Input {name!r}") for name, value in inputs.items()}


def _only(declared: Signature) -> str:
    if len(declared.inputs) == 1:
        return next(iter(declared.inputs))
    raise InvalidArgument(
        f"Signature {declared.name!r} has not one input but {len(declared.inputs)}.\n"
        f"Expected: a dict with {_listed(declared.inputs)}\n"
        f"Received: a value without name\n"
        f"Next: pass every input under its name"
    )


def _default_hint(declared: Signature, *, fills_defaults: bool) -> str:
    return "; only gRPC fills in defaults" if declared.defaults and not fills_defaults else ""


def outputs(wanted: Iterable[str] | None, declared: Signature) -> list[str] | None:
    """The outputs to answer with; None for all.

    Raises:
        InvalidArgument: The signature has no such output.
    """
    if wanted is None:
        return None
    names = [wanted] if isinstance(wanted, str) else list(dict.fromkeys(wanted))
    unknown = [name for name in names if name not in declared.outputs]
    if names and not unknown:
        return names
    raise InvalidArgument(
        f"Signature {declared.name!r} has no such output.\n"
        f"Expected: one or more of {_listed(declared.outputs)}\n"
        f"Received: {', '.join(map(repr, unknown)) or 'none'}\n"
        f"Next: leave outputs out for all"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(str, names)) or "nothing"
