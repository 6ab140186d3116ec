"""`keraspipe run digits` in an empty workspace, compared with the same pipeline of stock TFX components.

Both are whole processes, from the start of Python to its end. Ours tracks the run in MLflow, draws its reports and
registers the model; the stock one (`benchmarks/stock.py`) does none of that. Both train the number of epochs that the
recipe allows, without early stopping, since otherwise chance would decide how long each side trains. The stock side
uses TFX's default split, two thirds to train on, so it trains on fewer rows than ours.
"""

from __future__ import annotations

from benchmarks.measure import Row, fresh, in_turns, keraspipe, module

REPEAT = 3
EPOCHS = 30
AT_MOST = 0.8


def measure(repeat: int, epochs: int = EPOCHS) -> list[Row]:
    """Measures the wall seconds of both, alternating."""
    with fresh() as data:
        module("benchmarks.records", "digits", data)

        def ours() -> float:
            with fresh() as folder:
                fixed = ("--set", f"epochs={epochs}", "--set", f"patience={epochs}")
                return keraspipe(folder / "workspace", "run", "digits", *fixed)[0]

        def theirs() -> float:
            with fresh() as folder:
                return module("benchmarks.stock", "digits", data, folder, "--epochs", str(epochs))[0]

        return [Row("digits, cold", "s", *in_turns(repeat, ours, theirs), at_most=AT_MOST)]
