"""What is done again after a change, and what is not."""

from __future__ import annotations

from PIL import Image

TRAINING_ON = ["train", "evaluate", "judge"]
TRANSFORM_ON = ["transform", *TRAINING_ON]


def test_changed_code_and_data_repeat_what_depends_on_them(squares):
    first = squares.run()
    assert first["blessed"] is True
    assert 1 == first["model_version"]

    squares.edit("def build(p, spec):", "# a comment changes nothing\ndef build(p, spec):")
    commented = squares.run()
    assert [] == repeated(commented)
    assert first["run_id"] != commented["run_id"]
    assert 1 == commented["model_version"]  # the model is the live one: it is neither judged nor published again
    assert first["metrics"] == commented["metrics"]

    squares.edit('activation="relu"', 'activation="tanh"')
    assert repeated(squares.run()) == TRAINING_ON

    squares.edit("SCALE = 255.0", "SCALE = 256.0")
    scaled = squares.run()
    assert repeated(scaled) == TRANSFORM_ON
    live = scaled["model_version"]

    squares.edit('at_least={"accuracy": 0.9}', 'at_least={"accuracy": 1.1}')
    stricter = squares.run()
    assert ["evaluate", "judge"] == repeated(stricter)  # the live model by another gate
    assert (False, live) == (stricter["blessed"], stricter["model_version"])
    assert ["accuracy on the test split is"] == [reason[:29] for reason in stricter["reasons"]]
    assert f"The live model, version {live}, does not pass any more" in squares("run", "squares").out

    Image.new("L", (8, 8), 255).save(squares.data / "light" / "0.png")
    assert "ingest" in repeated(squares.run())


def test_no_cache_repeats_everything(squares):
    assert squares.run()["blessed"] is True
    again = squares.run("--no-cache")
    assert {"ingest", "statistics", "transform", "train"} <= set(repeated(again))


def test_a_data_file_replaced_with_its_old_date_is_noticed(squares):
    import os

    squares.run("--until", "ingest")
    path = squares.data / "dark" / "1.png"
    status = path.stat()
    content = path.read_bytes()
    path.write_bytes((squares.data / "dark" / "2.png").read_bytes()[: len(content)].ljust(len(content), b"\0"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    answer = squares("run", "squares", "--until", "ingest")
    assert "Nothing changed" not in answer.err


def repeated(result):
    always = {"resolve", "register", "publish"}
    return [s["name"] for s in result["steps"] if not s["cached"] and not s.get("skipped") and s["name"] not in always]
