"""Recipes with a training of their own: killed and started again they end as if nothing had been; any precision."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.settings import ROOT

SMALL = {
    "mnist_federated": {"epochs": 3, "clients": 10, "share": 0.5, "batch_size": 4, "local_epochs": 1},
    "cartpole": {"epochs": 3, "steps": 60, "every": 10, "descents": 5, "memory": 400, "batch_size": 16, "hidden": (8,)},
}
FILES = [pytest.param(ROOT / "models" / f"{name}.py", id=name) for name in SMALL]

pytestmark = [pytest.mark.heavy, pytest.mark.process, pytest.mark.parametrize("sampled_recipe", FILES, indirect=True)]


@pytest.fixture
def fit(sampled_recipe, tmp_path):
    """Fits in a process of its own: (folder, …) -> exit code, weights or None, the history."""
    rows = tmp_path / "rows.npz"
    np.savez(rows, **columns(sampled_recipe.rows("train")))

    def run(folder, killed_in=0, precision="float32", **params):
        home = tmp_path / folder
        home.mkdir(exist_ok=True)
        order = {"recipe": str(sampled_recipe.path), "rows": str(rows), "precision": precision, "killed_in": killed_in}
        order |= {"checkpoints": str(home), "weights": str(home / "weights.npz")}
        order |= {"params": {**SMALL[sampled_recipe.path.stem], **params}}
        (home / "order.json").write_text(json.dumps(order))
        command = [sys.executable, str(Path(__file__).with_name("fit_alone.py")), str(home / "order.json")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.returncode, weights(home), history(home), done.stderr

    return run


def columns(rows):
    """The preprocessed rows as arrays, "x/…" the features, "y/…" the targets or "y/" the label."""
    pairs = list(rows.dataset.as_numpy_iterator())
    features = {f"x/{name}": np.stack([x[name] for x, _ in pairs]) for name in pairs[0][0]}
    if not isinstance(pairs[0][1], dict):
        return {**features, "y/": np.stack([y for _, y in pairs])}
    return {**features, **{f"y/{name}": np.stack([y[name] for _, y in pairs]) for name in pairs[0][1]}}


def weights(home):
    if not (home / "weights.npz").exists():
        return None
    with np.load(home / "weights.npz") as saved:
        return [saved[name] for name in saved.files]


def history(home):
    file = home / "out" / "history.json"
    return json.loads(file.read_text()) if file.exists() else {}


@pytest.mark.long
def test_a_killed_training_ends_as_one_that_was_not(fit):
    _, expected, whole, errors = fit("whole")
    assert expected, errors
    code, nothing, _, _ = fit("killed", killed_in=2)
    assert (-signal.SIGKILL, None) == (code, nothing)
    code, after, rest, errors = fit("killed")
    assert 0 == code, errors
    for left, right in zip(expected, after, strict=True):
        np.testing.assert_array_equal(left, right)
    assert whole == rest


@pytest.mark.long
def test_half_precision_learns(fit):
    for precision in ("mixed_bfloat16", "mixed_float16"):
        code, after, seen, errors = fit(precision, precision=precision)
        assert 0 == code, errors
        assert all(np.isfinite(part).all() for part in after)
        assert 3 == len(seen["history"]["loss"])


@pytest.mark.long
def test_patience_ends_it(fit):
    code, _, seen, errors = fit("patience", epochs=12, patience=1, learning_rate=0.0)
    assert 0 == code, errors
    assert len(seen["history"]["loss"]) < 12
