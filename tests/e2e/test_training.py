"""Training by settings: precision, distribution, any loss and optimizer."""

from __future__ import annotations

from pipeline.store import journal

SETTINGS = {
    "from pipeline.recipe import": "from pipeline.training.optimizers import optimizer\nfrom pipeline.recipe import",
    "    units: int = 4": "    units: int = 4\n    loss: str = ''\n    optimizer: str = ''\n    schedule: str = ''",
    "keras.optimizers.Adam(p.learning_rate)": "optimizer(p.optimizer, p.learning_rate, p.schedule, spec.steps)",
    '"sparse_categorical_crossentropy"': "p.loss",
    'activation="softmax")': 'activation="softmax", dtype="float32")',
}


def test_precision_distribution_loss_and_optimizer_are_settings(prepared_unrecorded):
    squares = prepared_unrecorded
    for old, new in SETTINGS.items():
        squares.edit(old, new)
    chosen = {"loss": "categorical_focal_crossentropy", "optimizer": "adamw", "schedule": "exponential"}
    arguments = [part for key, value in chosen.items() for part in ("--set", f"{key}={value}")]
    environment = {"KERASPIPE_MIXED_PRECISION": "mixed_bfloat16", "KERASPIPE_DISTRIBUTION": "mirrored"}
    result = squares.run(*arguments, "--until", "train", **environment)
    path = squares.keraspipe.workspace / "runs" / result["run_id"] / "journal.jsonl"
    events = [event for event, _ in journal.iter_events(path)]
    (training,) = (event for event in events if event["event"] == "training")
    assert ("MirroredStrategy", "mixed_bfloat16") == (training["distribution"], training["precision"])
    assert [event for event in events if event["event"] == "epoch"][-1]["metrics"]["val_accuracy"] > 0.9


def test_an_unknown_setting_is_told(keraspipe):
    answer = keraspipe("run", "digits", KERASPIPE_MIXED_PRECISION="float8")
    assert 2 == answer.code
    assert "Expected: one of float32, mixed_bfloat16, mixed_float16" in answer.err
