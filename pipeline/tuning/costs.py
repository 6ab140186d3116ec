"""What a trained network costs, measured as the pipeline measures a model before its gate.

Source of the operations' number: TensorFlow's profiler (`pipeline.training.devices.count_flops`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.tuning.objectives import UnknownObjectiveError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    import numpy as np

    from pipeline.export.signatures import ServingModel

ROUNDS = 3  # the least median of some rounds: other work on the machine only adds time
LATENCY_DIGITS, SIZE_DIGITS = 2, 3
EXPORTED = {"latency_ms", "size_mb"}


def measure_costs(names: Collection[str], served: ServingModel, rows: dict[str, np.ndarray], out: Path) -> dict:
    """Measures costs by name.

    latency_ms is the median time of one row through `serving_default` of the exported model, preprocessing included,
    in milliseconds, in this process: the least of three medians of ten to a hundred calls each, to two digits, because
    repetitions differ by some percent, and no trial should beat another by that. size_mb is the size of the SavedModel
    in millions of bytes, to three digits, because names in a graph take some bytes. parameters counts all weights,
    flops the operations of the network for one row.

    Args:
        names: Which ones: "latency_ms", "size_mb", "parameters", "flops".
        served: The trained network with its preprocessing.
        rows: Raw inputs of some rows, (rows, …) each.
        out: Folder to write the SavedModel to.

    Raises:
        UnknownObjectiveError: The operations cannot be counted.
    """
    values: dict[str, float] = {}
    if "parameters" in names:
        values["parameters"] = float(served.model.count_params())
    if "flops" in names:
        values["flops"] = _count_operations(served, rows)
    if EXPORTED & set(names):
        values |= _measure_export(served, rows, out)
    return {name: values[name] for name in names}


def _count_operations(served: ServingModel, rows: dict[str, np.ndarray]) -> float:
    from pipeline.training import devices

    count = devices.count_flops(served.model, served.features(_take_first(rows)))
    if count is None:
        raise UnknownObjectiveError(
            "The operations of the network cannot be counted.",
            expected="a network that TensorFlow's profiler can trace alone, for one row",
            received=type(served.model).__name__,
            action="leave flops out of --objectives; parameters or latency_ms say something alike",
        )
    return float(count)


def _measure_export(served: ServingModel, rows: dict[str, np.ndarray], out: Path) -> dict[str, float]:
    from pipeline.export import cost, saved_model, signatures
    from serving.core.model import LoadedModel

    saved_model.export_model(served, out)
    loaded = LoadedModel(out)
    try:
        saved_model.write_warm_up(out, "trial", signatures.make_warm_up(loaded, rows))
        request = signatures.make_request(loaded, _take_first(rows))
        medians = [
            cost.measure_latency(lambda: loaded.predict("serving_default", request))["p50"] for _ in range(ROUNDS)
        ]
    finally:
        loaded.close()
    return {"latency_ms": _round(min(medians), LATENCY_DIGITS), "size_mb": _round(cost.size_mb(out), SIZE_DIGITS)}


def _round(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _take_first(rows: dict[str, Any]) -> dict[str, Any]:
    return {name: values[:1] for name, values in rows.items()}
