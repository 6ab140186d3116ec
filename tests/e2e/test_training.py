"""Training by settings: precision, distribution, determinism, any loss and optimizer."""

from __future__ import annotations

import json

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


def histories(squares):
    folder = squares.keraspipe.workspace / "artifacts/squares/train/model_run"
    return [
        json.loads(path.read_text())["history"]
        for path in sorted(folder.rglob("history.json"), key=lambda path: int(path.parent.name))
    ]


def test_deterministic_the_same_seed_gives_the_same_curves(unrecorded):
    environment = {"KERASPIPE_DETERMINISTIC": "1"}
    for seed in ("7", "7", "8"):
        unrecorded.run("--no-cache", "--until", "train", "--seed", seed, **environment)
    first, second, other = histories(unrecorded)
    assert first == second
    assert first != other
