"""Cost of tracking and reports: in a whole run of `digits`, and in a training step of the size of `mnist`.

A run is compared with a run without tracking, alternating, and with itself (`benchmarks/tracked.py`), because on a
shared machine equal runs differ by more than tracking adds. Each repeat has an empty workspace with MLflow's tables,
which only the first run of a workspace creates. `digits` is the hard case: the cost of tracking hardly grows with the
training.
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
    """Measures all rows."""
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

    say("  runs of digits, alternating")
    return Row("tracking and reports, run of digits", "s", *in_turns(repeat, ours, theirs), at_most=AT_MOST)


def _within(repeat: int, tables: Path) -> Row:
    """Measures one kind of run: its whole time, and its time less what its process spends on tracking."""
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
    """Creates a workspace that has MLflow's tables."""
    with fresh() as place:
        workspace = place / "workspace"
        workspace.mkdir()
        shutil.copy(tables, workspace / "mlflow.db")
        yield workspace


def _tables(folder: Path) -> Path:
    """Creates a database with MLflow's tables."""
    from pipeline.tracking.client import TrackingStore

    path = folder / "mlflow.db"
    TrackingStore(f"sqlite:///{path}", Workspace(folder)).probe()
    return path


def _step() -> Row:
    say("  steps of the size of mnist, alternating")
    _, out = module("benchmarks.step_cost", "--steps", str(STEPS), "--segments", str(SEGMENTS))
    found = json.loads(out.splitlines()[-1])
    return Row("tracking, training step of mnist", "ms", found["ours"], found["theirs"], at_most=STEP_AT_MOST)
