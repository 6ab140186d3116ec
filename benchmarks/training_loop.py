"""Samples per second of the pipeline's training loop against bare `model.fit` on arrays, after the first epoch.

The rows are what the pipeline itself ingested and transformed. `benchmarks/loops.py` runs both loops in one process, by
turns, and says how each is set up.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from benchmarks.measure import Row, fresh, keraspipe, module, say

REPEAT = 3
AT_LEAST = 0.95
EPOCHS = {"digits": 21, "mnist": 3}  # the first one is not counted; an epoch of digits lasts a fraction of a second


def measure(repeat: int) -> list[Row]:
    """Both recipes, or digits alone where MNIST is absent."""
    data = Path(os.environ.get("KERASPIPE_DATA", "~/.cache/keraspipe")).expanduser()
    names = [name for name in EPOCHS if name != "mnist" or (data / name).is_dir()]
    return [_row(name, repeat, EPOCHS[name]) for name in names]


def _row(name: str, repeat: int, epochs: int) -> Row:
    with fresh() as folder:
        workspace = folder / "workspace"
        say(f"  the rows of {name}, not measured")
        keraspipe(workspace, "run", name, "--until", "transform")
        _, out = module("benchmarks.loops", name, workspace, "--epochs", str(epochs), "--repeat", str(repeat))
    found = json.loads(out)
    return Row(f"training loop, {name}", "samples/s", found["ours"], found["theirs"], at_least=AT_LEAST)
