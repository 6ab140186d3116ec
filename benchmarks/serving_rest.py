"""REST, one process, one row per request: keraspipe, and FastAPI, MLServer and plain uvicorn with the same callable.

The targets hold for the MLP, which costs almost no time, at 16 connections; results for 1 and 64 are in the JSON. The
network of `digits` takes most of the time itself; with it keraspipe must not be slower.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from benchmarks.measure import Row, SkippedError
from benchmarks.serving import answers, models, payloads, servers, turns

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np


REPEAT = 5
CLIENTS = (1, 16, 64)
TARGET_CLIENTS = 16
TARGETS = {"MLServer": 3.0, "FastAPI": 2.0, "uvicorn alone": 0.6}


def measure(repeat: int) -> list[Row]:
    """Measures the MLP at all numbers of connections, `digits` at 16."""
    mlp = _measured("mlp", payloads.numbers(1), CLIENTS, repeat, TARGETS)
    digits = payloads.texts(models.small_image())
    return mlp + _measured(
        "digits", digits, (TARGET_CLIENTS,), repeat, dict.fromkeys(TARGETS, 1.0) | {"uvicorn alone": None}
    )


def _measured(
    model: str, values: np.ndarray, clients: tuple[int, ...], repeat: int, bounds: Mapping[str, float | None]
) -> list[Row]:
    folder = models.folder(model)
    skipped: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        own = stack.enter_context(servers.ours(folder, model, values)).rest(model, values)
        targets = {"ours": own, "FastAPI": stack.enter_context(servers.fastapi(folder, model, values))}
        answer = answers.of(own)
        if bounds["uvicorn alone"]:
            targets["uvicorn alone"] = stack.enter_context(servers.echo(answer, model, values))
        try:
            targets["MLServer"] = stack.enter_context(servers.mlserver(folder, model, values))
        except SkippedError as reason:
            skipped["MLServer"] = str(reason)
        answers.must_be_the_same(targets)
        found = turns.rates(targets, clients, repeat)
    return [_row(model, name, bound, found, skipped) for name, bound in bounds.items() if bound]


def _row(model: str, name: str, bound: float, found: turns.Rates, skipped: dict[str, str]) -> Row:
    title = f"REST {model}, {TARGET_CLIENTS} connections, {name}"
    if name in skipped:
        return Row(title, "requests/s", at_least=bound, note=skipped[name])
    sides = {side: found[side] for side in ("ours", name)}
    numbers = (found["ours"][TARGET_CLIENTS], found[name][TARGET_CLIENTS])
    return Row(title, "requests/s", *numbers, at_least=bound, details=turns.details(sides))
