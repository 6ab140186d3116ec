"""Training by settings: precision, distribution, any loss and optimizer."""

from __future__ import annotations

from pipeline.store import journal


def test_precision_distribution_loss_and_optimizer_are_settings(keraspipe):
    chosen = {
        "loss": "categorical_focal_crossentropy",
        "optimizer": "adamw",
        "activation": "gelu",
        "schedule": "exponential",
    }
    arguments = [part for key, value in chosen.items() for part in ("--set", f"{key}={value}")]
    environment = {"KERASPIPE_MIXED_PRECISION": "mixed_bfloat16", "KERASPIPE_DISTRIBUTION": "mirrored"}
    environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:1"  # nobody looks at it here
    answer = keraspipe("run", "digits", "--quick", "--json", *arguments, **environment)
    assert 0 == answer.code, answer.err
    assert answer.json["metrics"]["accuracy"] > 0.6
    (path,) = (keraspipe.workspace / "runs").glob("*/journal.jsonl")
    (training,) = (event for event, _ in journal.iter_events(path) if event["event"] == "training")
    assert ("MirroredStrategy", "mixed_bfloat16") == (training["distribution"], training["precision"])


def test_an_unknown_setting_is_told(keraspipe):
    answer = keraspipe("run", "digits", KERASPIPE_MIXED_PRECISION="float8")
    assert 2 == answer.code
    assert "Expected: one of float32, mixed_bfloat16, mixed_float16" in answer.err
