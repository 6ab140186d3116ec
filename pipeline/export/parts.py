"""Many rows are answered in parts: what a network keeps on the way takes some hundred times the memory of its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def answer_in_parts(
    answer: Callable[[Mapping[str, Any]], dict[str, np.ndarray]], inputs: Mapping[str, Any], most: int
) -> dict[str, np.ndarray]:
    """Returns the answers to all rows; each hangs on nothing but its row, so that parts give what the whole gives.

    Args:
        answer: Inputs by name -> outputs by name, (rows, …) each.
        inputs: Rows by name. Inputs that are no rows, or not as many, are asked for at once.
        most: Rows of a part.
    """
    counts = {len(value) if np.ndim(value) else 0 for value in inputs.values()}
    rows = max(counts, default=0)
    if rows <= most or len(counts) > 1:
        return answer(inputs)
    parts = [answer({name: value[at : at + most] for name, value in inputs.items()}) for at in range(0, rows, most)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
