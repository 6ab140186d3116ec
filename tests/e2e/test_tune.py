"""Searches over the recipe `squares`: what they look at, what survives a kill, what a bad trial does."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING

import psutil
import pytest

from pipeline.runs import record
from pipeline.store.layout import Workspace

if TYPE_CHECKING:
    from pathlib import Path

SHORT = ("--set", "epochs=2", "--no-run", "--json")
RANGES = {
    "learning_rate: float = 0.05": "learning_rate: Annotated[float, Range(0.001, 0.1, log=True)] = 0.05",
    "units: int = 4": 'units: tuple[int, ...] = (4,)\n    activation: Annotated[str, Choice("relu", "tanh")] = "relu"',
    "from dataclasses import dataclass": "from dataclasses import dataclass\nfrom typing import Annotated",
    "import Gate, Hash, Recipe": "import Choice, Gate, Hash, Range, Recipe",
    '    x = keras.layers.Dense(p.units, activation="relu")(keras.layers.Flatten()(image))\n': (
        "    x = keras.layers.Flatten()(image)\n"
        "    for units in p.units:\n"
        "        x = keras.layers.Dense(units, activation=p.activation)(x)\n"
    ),
}


def ranged(squares):
    """The recipe with ranges and an architecture to search."""
    for old, new in RANGES.items():
        squares.edit(old, new)
    return squares


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, transformed, copy_squares):
    """A workspace with prepared data that searches share: none is another's business."""
    return ranged(copy_squares(transformed, tmp_path_factory.mktemp("tuned") / "squares"))


def searched(squares, *arguments):
    answer = squares("tune", "squares", *SHORT, *arguments, KERASPIPE_DETERMINISTIC="1")
    assert 0 == answer.code, answer.err
    return answer.json


def decisions(found):
    """What a search tried, and what it saw."""
    return [(trial["params"], trial["state"], trial["value"]) for trial in found["trials"]]


def one(paths):
    (path,) = paths
    return path


def spoil(workspace: Path) -> None:
    """Nobody can read the test split any more: what was a file of records is a folder."""
    path = one(workspace.glob("artifacts/squares/ingest/examples/*/Split-test/*"))
    path.unlink()
    path.mkdir()


def in_test_split(squares) -> list[Path]:
    """The images of the test split."""
    import tensorflow as tf

    path = one(squares.keraspipe.workspace.glob("artifacts/squares/ingest/examples/*/Split-test/*"))
    records = [tf.train.Example.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]
    inputs = {record.features.feature["image_bytes"].bytes_list.value[0] for record in records}
    return [path for path in sorted(squares.data.glob("*/*.png")) if path.read_bytes() in inputs]


def turn_labels(squares, images: list[Path]) -> None:
    for path in images:
        other = {"dark": "light", "light": "dark"}[path.parent.name]
        path.rename(squares.data / other / f"moved-{path.name}")


@pytest.mark.long
def test_no_trial_looks_at_the_test_split(prepared_unrecorded):
    squares = ranged(prepared_unrecorded)
    first = searched(squares, "--trials", "1")
    assert {"learning_rate", "units", "activation"} == first["space"].keys()
    images = in_test_split(squares)
    assert len(images) > 5

    spoil(squares.keraspipe.workspace)
    whole = searched(squares, "--trials", "2")
    assert decisions(first) == decisions(whole)[:1]
    assert "complete" == whole["trials"][1]["state"]

    turn_labels(squares, images)
    mislabelled = searched(squares, "--trials", "1")
    assert whole["run_id"] != mislabelled["run_id"], "the data have changed, and it searches anew"
    assert decisions(first) == decisions(mislabelled)


def trained_by(process):
    """The process that trains for a search."""
    return [child for child in psutil.Process(process.pid).children() if "pipeline.tuning" in child.cmdline()]


def until(process, pattern):
    for line in process.stderr:
        if re.search(pattern, line):
            return
    raise AssertionError(f"{pattern} never came")


@pytest.mark.long
def test_what_kills_a_trial_or_the_search_loses_that_trial_only(tuned):
    process = tuned.keraspipe.fork("tune", "squares", *SHORT, "--trials", "6")
    until(process, r"trial 0 +complete")
    one(trained_by(process)).kill()
    until(process, r"trial 1 +failed .*killed from outside")
    until(process, r"trial 2 +complete")
    process.send_signal(signal.SIGKILL)
    process.communicate()

    answer = tuned("tune", "squares", *SHORT, "--trials", "4")
    assert 0 == answer.code, answer.err
    trials = {trial["number"]: trial["state"] for trial in answer.json["trials"]}
    assert {0: "complete", 1: "failed", 2: "complete"} == {number: trials[number] for number in range(3)}
    assert 4 == len(trials)
    assert not re.search(r"trial [012] ", answer.err)
    assert "✓ ingest" not in answer.err, "the data were prepared before"

    same = tuned("tune", "squares", *SHORT, "--trials", "4")
    assert answer.json["trials"] == same.json["trials"]
    shown = json.loads(tuned("runs", "--json").out)
    assert "finished" == next(row["state"] for row in shown if row["run_id"] == answer.json["run_id"])


@pytest.mark.long
def test_trials_that_all_fail_are_an_error_in_words(tuned):
    answer = tuned("tune", "squares", "--set", "activation=no_such_thing", *SHORT, "--trials", "9")
    assert 1 == answer.code
    assert "All 5 trials failed." in answer.err
    assert "no_such_thing" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.slow
def test_bad_trials_are_reported_and_the_best_one_is_run_and_evaluated(squares):
    ranged(squares).edit('Choice("relu", "tanh")', 'Choice("relu", "no_such_thing")')
    asked = ("--only", "activation,learning_rate", "--set", "epochs=12", "--json", "--trials", "5")
    answer = squares("tune", "squares", *asked)
    found = answer.json
    assert answer.code in (0, 3)
    states = {trial["params"]["activation"]: trial["state"] for trial in found["trials"]}
    assert "failed" == states["no_such_thing"]
    assert all("no_such_thing" in trial["reason"] for trial in found["trials"] if trial["state"] == "failed")
    assert "relu" == found["best"]["params"]["activation"]
    assert found["run"]["blessed"] is (answer.code == 0)
    made = record.read_record(Workspace(squares.keraspipe.workspace), found["run"]["run_id"])
    assert f"{found['run_id']} trial {found['best']['number']}" == made.tags["trial"]
    repeated = squares(*found["command"].split()[1:], "--json")
    assert found["run"]["run_id"] == repeated.json["run_id"], "the command line that it names is the run it made"


COSTS = ("--objectives", "accuracy,parameters")


@pytest.mark.long
def test_a_search_for_a_front_goes_on_after_a_kill_as_if_it_had_not_been(tuned):
    """The killed search gives the same trials as one that runs through under the same seed."""
    process = tuned.keraspipe.fork("tune", "squares", *SHORT, *COSTS, "--trials", "6", KERASPIPE_DETERMINISTIC="1")
    until(process, r"trial 2 +complete")
    process.send_signal(signal.SIGKILL)
    process.communicate()

    answer = tuned("tune", "squares", *SHORT, *COSTS, "--trials", "6", KERASPIPE_DETERMINISTIC="1")
    assert 0 == answer.code, answer.err
    found = answer.json
    states = [trial["state"] for trial in found["trials"]]
    assert ["complete"] * 6 == states
    assert not re.search(r"trial [012] ", answer.err)
    assert {"accuracy", "parameters"} == found["trials"][0]["values"].keys()
    assert found["front"]
    assert found["balanced"] in [point["number"] for point in found["front"]]

    again = searched(tuned, *COSTS, "--trials", "6")
    assert found["trials"] == again["trials"], "nothing is left to be done"


@pytest.mark.long
def test_a_failed_trial_is_no_point_and_a_metric_that_the_network_lacks_is_named(tuned):
    answer = tuned("tune", "squares", "--set", "activation=no_such_thing", *SHORT, *COSTS, "--trials", "9")
    assert 1 == answer.code
    assert "All 5 trials failed." in answer.err
    missing = tuned("tune", "squares", *SHORT, "--objectives", "acuracy:max,parameters", "--trials", "1")
    assert 1 == missing.code
    assert "The network has no metric 'val_acuracy'." in missing.err
    assert "did you mean val_accuracy?" in missing.err
    assert "Traceback" not in answer.err + missing.err


@pytest.mark.slow
def test_a_point_of_the_front_is_picked_and_published(squares):
    """Its size and operations are those that the gate's step measures; size_mb has three digits."""
    ranged(squares)
    asked = ("tune", "squares", "--objectives", "accuracy,latency_ms,size_mb,flops", "--set", "epochs=12", "--json")
    found = squares(*asked, "--trials", "3").json
    assert found["run"] is None
    assert Workspace(squares.keraspipe.workspace).run(found["run_id"]).front_picture.stat().st_size
    point = found["front"][0]
    answer = squares(*asked, "--pick", str(point["number"]))
    assert 0 == answer.code, answer.err
    picked = answer.json
    assert found["trials"] == picked["trials"], "it searches no further"
    assert (point["number"], True) == (picked["picked"], picked["run"]["blessed"])
    folder = Workspace(squares.keraspipe.workspace).run(picked["run"]["run_id"])
    cost = json.loads(folder.evaluation.read_text())["cost"]
    assert point["values"]["flops"] == cost["flops"]
    assert pytest.approx(cost["size_mb"], rel=0.01) == point["values"]["size_mb"]
    assert record.read_record(folder.workspace, folder.run_id).tags["trial"].endswith(f"trial {point['number']}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("squares", "--objective", "accuracy"), "val_"),
        (("squares", "--trials", "0"), "at least 1"),
        (("squares", "--objectives", "accuracy"), "2 to 4 names"),
        (("squares", "--objectives", "accuracy,val_accuracy"), "given twice"),
        (("squares", "--objectives", "accuracy,latency"), "did you mean latency_ms"),
        (("squares", "--pick", "3"), "contradict each other"),
        (("squares", "--objectives", "loss,flops", "--pick", "3"), "no trial yet"),
        (("squares", "--only", "unit"), "did you mean units"),
        (("squares", "--only", "patience"), "declares no range for patience"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused_in_words(tuned, arguments, said):
    answer = tuned("tune", *arguments)
    assert 2 == answer.code
    assert said in answer.err
    assert "Traceback" not in answer.err
