"""Comparison of the servers' answers: speeds are compared only if the answers are equal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.loadtest.target import Target


def of(target: Target) -> bytes:
    """Returns the body of the answer to a REST request."""
    reply = requests.post(target.address + target.path, target.body, timeout=target.timeout_s)
    reply.raise_for_status()
    return reply.content


def must_be_the_same(targets: Mapping[str, Target]) -> None:
    """Compare the numbers of all answers with those of the first.

    Raises:
        RuntimeError: A server answers something else.
    """
    first, *others = targets
    wanted = _numbers(of(targets[first]))
    for name in others:
        found = _numbers(of(targets[name]))
        if len(found) != len(wanted) or not np.allclose(wanted, found, rtol=1e-4, atol=1e-6):
            raise RuntimeError(f"{name} answers something else than {first}")


def _numbers(answer: bytes) -> list[float]:
    """Returns all numbers of an answer, sorted."""
    document = json.loads(answer)
    found = document["predictions"] if "predictions" in document else [one["data"] for one in document["outputs"]]
    return sorted(_flat(found))


def _flat(value: object) -> list[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in _flat(item)]
    return [float(value)] if isinstance(value, (int, float)) else []
