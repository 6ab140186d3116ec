"""How fast a served language model writes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from serving.core.model import LoadedModel

TOKEN = 5  # any one: all cost the same


def measure_speed(served: LoadedModel, first: int = 32, tokens: int = 32) -> float:
    """Returns the tokens per second of one conversation by `decode`.

    Args:
        served: The loaded version.
        first: Tokens of the prompt.
        tokens: How many follow; with the prompt and one more they must fit into the context.
    """
    (slots,) = served.signatures["decode"].inputs["tokens"].shape or (1,)
    served.predict("prefill", {"tokens": np.full(first, TOKEN, np.int32), "slot": np.int32(0), "position": np.int32(0)})
    began = 0.0
    for place in range(first, first + tokens + 1):
        request = {"tokens": np.full(slots, TOKEN, np.int32), "positions": np.full(slots, place, np.int32)}
        served.predict("decode", {**request, "active": np.arange(slots) == 0})
        began = began or time.perf_counter()  # after the first one, for which the graph is made ready
    return tokens / (time.perf_counter() - began)
