"""Training by settings: precision, distribution, any loss and optimizer."""

from __future__ import annotations

import pytest

from pipeline.store import journal


@pytest.mark.long
@pytest.mark.xdist_group("digits")
def test_precision_distribution_loss_and_optimizer_are_settings(digits):
    """On the data that another run has prepared."""
    chosen = {
        "loss": "categorical_focal_crossentropy",
        "optimizer": "adamw",
        "activation": "gelu",
        "schedule": "exponential",
    }
    arguments = [part for key, value in chosen.items() for part in ("--set", f"{key}={value}")]
    environment = {"KERASPIPE_MIXED_PRECISION": "mixed_bfloat16", "KERASPIPE_DISTRIBUTION": "mirrored"}
    environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:1"  # nobody looks at it here
    arguments += ["--set", "epochs=3", "--until", "train", "--json"]
    answer = digits.keraspipe("run", "digits", *arguments, **environment)
    assert 0 == answer.code, answer.err
    path = digits.workspace / "runs" / answer.json["run_id"] / "journal.jsonl"
    events = [event for event, _ in journal.iter_events(path)]
    (training,) = (event for event in events if event["event"] == "training")
    assert ("MirroredStrategy", "mixed_bfloat16") == (training["distribution"], training["precision"])
    assert [event for event in events if event["event"] == "epoch"][-1]["metrics"]["val_accuracy"] > 0.6


def test_an_unknown_setting_is_reported(keraspipe):
    answer = keraspipe("run", "digits", KERASPIPE_MIXED_PRECISION="float8")
    assert 2 == answer.code
    assert "Expected: one of float32, mixed_bfloat16, mixed_float16" in answer.err
