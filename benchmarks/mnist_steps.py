"""All steps except training on MNIST: the sum of keraspipe's steps, compared with the sum of stock TFX components.

Both get the same 70,000 images (60,000 to train on, 10,000 to test) in the same splits, and evaluate on the same
10,000. Both clocks run around TFX's launcher, so that what it writes into ML Metadata counts on both sides. Ours starts
from the data set's own files and encodes the images in its first step; the stock side finds TFRecords that were written
before its clock started. Ours trains one epoch and the stock side a few steps, which is not counted: neither model
passes the gate, so that publishing is missing on both sides. The baseline is not counted: it trains a model, too.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from benchmarks.measure import Row, SkippedError, fresh, in_turns, keraspipe, module

REPEAT = 1
AT_MOST = 0.5
STEPS = 20
NOT_BLESSED = 3
NOT_COUNTED = ("train", "Trainer", "baseline")  # a model of scikit-learn, which the stock side has not


def measure(repeat: int) -> list[Row]:
    """Measures the seconds of all steps except training, alternating."""
    if not (Path(os.environ.get("KERASPIPE_DATA", "~/.cache/keraspipe")).expanduser() / "mnist").is_dir():
        raise SkippedError("there is no mnist/ under KERASPIPE_DATA (or ~/.cache/keraspipe)")
    details: dict[str, dict[str, float]] = {}
    with fresh() as data:
        module("benchmarks.records", "mnist", data, "--splits")

        def ours() -> float:
            with fresh() as folder:
                arguments = ("run", "mnist", "--set", "epochs=1", "--json")
                _, out = keraspipe(folder / "workspace", *arguments, codes=(0, NOT_BLESSED))
            return total("ours", {step["name"]: step["seconds"] for step in json.loads(out)["steps"]})

        def theirs() -> float:
            with fresh() as folder:
                training = ("--epochs", "1", "--steps", str(STEPS))
                _, out = module("benchmarks.stock", "mnist", data, folder, *training, "--json")
            return total("theirs", json.loads(out)["seconds"])

        def total(side: str, seconds: dict[str, float]) -> float:
            details[side] = {name: round(value, 2) for name, value in seconds.items()}
            return sum(value for name, value in seconds.items() if name not in NOT_COUNTED)

        return [Row("mnist without training", "s", *in_turns(repeat, ours, theirs), at_most=AT_MOST, details=details)]
