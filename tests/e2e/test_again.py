"""What is done again after a change, and what is not."""

from __future__ import annotations

import pytest
from PIL import Image

TRAIN_ON = ["train", "evaluate", "score"]
TRANSFORM_ON = ["transform", *TRAIN_ON]


@pytest.mark.long
def test_changed_code_and_data_repeat_what_depends_on_them(published_unrecorded):
    squares = published_unrecorded
    first = squares.run()
    assert (True, 1) == (first["blessed"], first["model_version"])

    squares.edit("def build(p, spec):", "# a comment changes nothing\ndef build(p, spec):")
    assert first["run_id"] == squares.run()["run_id"]

    squares.edit("def build(p, spec):", "def unused():\n    return 1\n\n\ndef build(p, spec):")
    unused = squares.run()
    assert [] == repeated(unused)
    assert first["run_id"] != unused["run_id"]
    assert 1 == unused["model_version"]  # the model is the live one: it is neither evaluated nor published again
    assert first["metrics"] == unused["metrics"]

    squares.edit('activation="relu"', 'activation="tanh"')
    trained = squares.run()
    assert TRAIN_ON == repeated(trained)
    live = trained["model_version"]

    squares.edit('at_least={"accuracy": 0.9}', 'at_least={"accuracy": 1.1}')
    stricter = squares.run()
    assert ["evaluate", "score"] == repeated(stricter)  # the live model by another gate
    assert (False, live) == (stricter["blessed"], stricter["model_version"])
    assert ["accuracy on the test split is"] == [reason[:29] for reason in stricter["reasons"]]
    assert f"The champion, version {live}, does not pass the gate any more" in squares("run", "squares").out

    verdicts = squares("lineage", f"squares@{live}", "--json").json["verdicts"]
    assert [(True, trained["run_id"]), (False, stricter["run_id"])] == [(v["blessed"], v["run_id"]) for v in verdicts]
    assert (live, stricter["reasons"]) == (verdicts[1]["baseline_version"], verdicts[1]["reasons"])
    assert f"not blessed by run {stricter['run_id']}" in squares("lineage", f"squares@{live}").out

    squares.edit("SCALE = 255.0", "SCALE = 256.0")
    assert repeated(squares.run()) == TRANSFORM_ON

    Image.new("L", (8, 8), 255).save(squares.data / "light" / "0.png")
    assert "ingest" in repeated(squares.run("--until", "ingest"))
    again = squares.run("--no-cache", "--until", "train")
    assert {"ingest", "statistics", "transform", "train"} <= set(repeated(again))


def test_a_data_file_replaced_with_its_old_date_is_noticed(unrecorded):
    import os

    unrecorded.run("--until", "ingest")
    path = unrecorded.data / "dark" / "1.png"
    status = path.stat()
    content = path.read_bytes()
    path.write_bytes((unrecorded.data / "dark" / "2.png").read_bytes()[: len(content)].ljust(len(content), b"\0"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    answer = unrecorded("run", "squares", "--until", "ingest")
    assert "Nothing changed" not in answer.err


def repeated(result):
    always = {"resolve", "gate", "register", "publish"}
    return [s["name"] for s in result["steps"] if not s["cached"] and not s.get("skipped") and s["name"] not in always]
