"""Samples per second of the pipeline's training loop compared with plain `model.fit` on arrays, after the first epoch.

The pipeline itself ingests and transforms the rows. `benchmarks/loops.py` runs both loops in one process, alternating,
and describes their settings.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from benchmarks.measure import Row, fresh, keraspipe, module, say

REPEAT = 3
AT_LEAST = 0.95
EPOCHS = {"digits": 21, "mnist": 3}  # the first epoch does not count; an epoch of digits lasts a fraction of a second


def measure(repeat: int) -> list[Row]:
    """Measures both recipes, or only digits if there is no MNIST."""
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
