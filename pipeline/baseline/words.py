"""The standard models in words: the line below a run's result, and the warning if the network is behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.console import format_number

if TYPE_CHECKING:
    from collections.abc import Mapping

AHEAD, LEVEL, BEHIND = "ahead", "level", "behind"
VERDICTS = {
    AHEAD: "; the network is ahead",
    LEVEL: "; the network is level with it",
    BEHIND: "; the network is behind",
}


def describe_models(baselines: Mapping[str, Any]) -> str:
    """Returns one line about the models: "gradient boosting mae 0.41, linear model mae 0.52"; empty without one."""
    models = baselines.get("models") or []
    name = baselines.get("metric") or next((key for model in models for key in model["metrics"]), "")
    parts = [
        f"{model['name']} {name} {format_number(model['metrics'][name])}"
        for model in models
        if name in model["metrics"]
    ]
    note = f" ({baselines['note']})" if baselines.get("note") else ""
    return ", ".join(parts) + VERDICTS.get(baselines.get("verdict", ""), "") + note if parts else ""


def describe_behind(
    baselines: Mapping[str, Any], metrics: Mapping[str, float], name: str, diagnosis: str, *, quick: bool
) -> str:
    """Returns the warning that the network is behind, with what to try; empty if it is not.

    Args:
        baselines: The part `baselines` of an evaluation.
        metrics: The network's metrics.
        name: The recipe.
        diagnosis: The diagnosis of the training.
        quick: Whether this is a --quick run.
    """
    if baselines.get("verdict") != BEHIND:
        return ""
    metric, best = baselines["metric"], baselines["models"][0]
    numbers = f"{metric} {format_number(best['metrics'][metric])}, this network {format_number(metrics[metric])}"
    return (
        f"Behind the baseline: {best['name']} has {numbers} on the same rows. "
        f"Try {_advice(name, diagnosis, quick=quick)}"
    )


def _advice(name: str, diagnosis: str, *, quick: bool) -> str:
    if quick:
        return f"a full run: keraspipe run {name}"
    finding = diagnosis.partition(";")[2].strip()
    first = "more epochs (--set epochs=…), " if finding.startswith("underfitting") else ""
    first = first or ("more dropout or fewer units, " if finding.startswith("overfitting") else "")
    return f"{first}keraspipe tune {name}, or serve the simpler model"
