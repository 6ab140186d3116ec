"""What tracking and reports add: to a whole run of `digits`, and to a training step of the size of `mnist`.

A run is measured by turns with one that is not tracked, and within itself (`benchmarks/tracked.py`), because on a
machine with neighbours runs differ by more than tracking adds. Each repeat has a workspace of its own, with MLflow's
tables made beforehand as in any workspace but the first run's. `digits` is the hard case: what tracking costs hardly
grows with the training.
"""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.measure import Row, fresh, in_turns, keraspipe, module, say
from pipeline.store.layout import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPEAT = 7
AT_MOST = 1.05
STEP_AT_MOST = 1.02
STEPS, SEGMENTS = 20, 20
RUN = ("run", "digits", "--json")


def measure(repeat: int) -> list[Row]:
    """All rows."""
    with fresh() as folder:
        tables = _tables(folder)
        return [_run(repeat, tables), _within(repeat, tables), _step()]


def _run(repeat: int, tables: Path) -> Row:
    def ours() -> float:
        with _workspace(tables) as workspace:
            return keraspipe(workspace, *RUN)[0]

    def theirs() -> float:
        with fresh() as place:
            return module("benchmarks.untracked", *RUN, "--workspace", place / "workspace")[0]

    say("  runs of digits, by turns")
    return Row("tracking and reports, run of digits", "s", *in_turns(repeat, ours, theirs), at_most=AT_MOST)


def _within(repeat: int, tables: Path) -> Row:
    """The same without turns: what a run's own process does and waits for."""
    say("  runs of digits with a clock on tracking")
    found = [_clocked(tables) for _ in range(repeat)]
    whole, tracking = [one["seconds"] for one in found], [one["tracking"] for one in found]
    rest = [seconds - share for seconds, share in zip(whole, tracking, strict=True)]
    details = {"tracking": {str(turn): seconds for turn, seconds in enumerate(tracking)}}
    return Row("tracking and reports, within run digits", "s", whole, rest, at_most=AT_MOST, details=details)


def _clocked(tables: Path) -> dict[str, float]:
    with _workspace(tables) as workspace:
        _, out = module("benchmarks.tracked", *RUN, "--workspace", workspace)
    return dict(json.loads(out.splitlines()[-1]))


@contextmanager
def _workspace(tables: Path) -> Iterator[Path]:
    """A workspace in which MLflow's tables are made."""
    with fresh() as place:
        workspace = place / "workspace"
        workspace.mkdir()
        shutil.copy(tables, workspace / "mlflow.db")
        yield workspace


def _tables(folder: Path) -> Path:
    """A database with MLflow's tables."""
    from pipeline.tracking.client import Destination

    path = folder / "mlflow.db"
    Destination(f"sqlite:///{path}", Workspace(folder)).probe()
    return path


def _step() -> Row:
    say("  steps of the size of mnist, by turns")
    _, out = module("benchmarks.step_cost", "--steps", str(STEPS), "--segments", str(SEGMENTS))
    found = json.loads(out.splitlines()[-1])
    return Row("tracking, training step of mnist", "ms", found["ours"], found["theirs"], at_most=STEP_AT_MOST)
