"""Transform's graph without what only the targets need: a client sends none.

Transform's layer makes up inputs that it is not given and runs its whole graph on them, checks of the targets
included, which then fail. So the part of the graph that gives the features is cut out, as Transform itself cuts its
graph before it saves it (`tensorflow_transform.saved.saved_transform_io_v2.optimize_concrete_function`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorflow.python.eager import wrap_function
from tensorflow_transform.tf2_utils import strip_and_get_tensors_and_control_dependencies

from pipeline.features import targets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import tensorflow as tf


def cut_targets(layer: Any) -> Callable[[Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]:
    """Returns the features of Transform's graph as a function of the raw inputs that they need.

    Args:
        layer: Transform's layer, which owns the tables and files of the graph.
    """
    loader = layer._saved_model_loader  # noqa: SLF001  (Transform has no public way to a part of its graph)
    whole = loader._wrapped_function  # noqa: SLF001
    inputs = loader._structured_inputs  # noqa: SLF001
    names = [name for name in loader.structured_outputs if not name.startswith(targets.PREFIX)]
    # Each output waits for all checks of the graph; the features' own ones remain before what they check.
    bare, _ = strip_and_get_tensors_and_control_dependencies([loader.structured_outputs[name] for name in names])
    outputs = dict(zip(names, bare, strict=True))
    holder = wrap_function.VariableHolder(share_variables=True)
    graph = wrap_function.WrappedFunction(whole.graph, variable_holder=holder)
    parts: dict[tuple[str, ...], Any] = {}  # by the inputs

    def features(raw: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        given = tuple(sorted(raw))
        if given not in parts:
            parts[given] = graph.prune([inputs[name] for name in given], outputs)
        return dict(parts[given](*(raw[name] for name in given)))

    return features
