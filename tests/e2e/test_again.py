"""What is done again after a change, and what is not."""

from __future__ import annotations

from PIL import Image

TRANSFORM_ON = ["transform", "train", "evaluate", "score"]


def test_changed_code_and_data_repeat_what_depends_on_them(prepared_unrecorded):
    first = prepared_unrecorded.run()
    assert first["blessed"] is True
    assert 1 == first["model_version"]

    prepared_unrecorded.edit("def build(p, spec):", "# a comment changes nothing\ndef build(p, spec):")
    assert first["run_id"] == prepared_unrecorded.run()["run_id"]

    prepared_unrecorded.edit("def build(p, spec):", "def unused():\n    return 1\n\n\ndef build(p, spec):")
    unused = prepared_unrecorded.run()
    assert [] == repeated(unused)
    assert first["run_id"] != unused["run_id"]
    assert 1 == unused["model_version"]  # the model is the live one: it is neither judged nor published again
    assert first["metrics"] == unused["metrics"]

    prepared_unrecorded.edit('activation="relu"', 'activation="tanh"')
    assert ["train"] == repeated(prepared_unrecorded.run("--until", "train"))

    prepared_unrecorded.edit("SCALE = 255.0", "SCALE = 256.0")
    scaled = prepared_unrecorded.run()
    assert repeated(scaled) == TRANSFORM_ON
    live = scaled["model_version"]

    prepared_unrecorded.edit('at_least={"accuracy": 0.9}', 'at_least={"accuracy": 1.1}')
    stricter = prepared_unrecorded.run()
    assert ["evaluate", "score"] == repeated(stricter)  # the live model by another gate
    assert (False, live) == (stricter["blessed"], stricter["model_version"])
    assert ["accuracy on the test split is"] == [reason[:29] for reason in stricter["reasons"]]
    assert f"The champion, version {live}, does not pass the gate any more" in prepared_unrecorded("run", "squares").out

    verdicts = prepared_unrecorded("lineage", f"squares@{live}", "--json").json["verdicts"]
    assert [(True, scaled["run_id"]), (False, stricter["run_id"])] == [(v["blessed"], v["run_id"]) for v in verdicts]
    assert (live, stricter["reasons"]) == (verdicts[1]["baseline_version"], verdicts[1]["reasons"])
    assert f"not blessed by run {stricter['run_id']}" in prepared_unrecorded("lineage", f"squares@{live}").out

    Image.new("L", (8, 8), 255).save(prepared_unrecorded.data / "light" / "0.png")
    assert "ingest" in repeated(prepared_unrecorded.run("--until", "ingest"))
    again = prepared_unrecorded.run("--no-cache", "--until", "train")
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
