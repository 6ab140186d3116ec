"""`keraspipe monitor` as it is called: exit codes, files, MLflow, watching, retraining."""

import json
import re
import shutil
import signal
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.store.layout import Workspace

from .conftest import Live

KNOWN = [{"x": float(i % 50), "n": i % 7} for i in range(400)]
MOVED = [{**row, "x": row["x"] + 30} for row in KNOWN[:200]]


@pytest.fixture
def model(keraspipe):
    """A live model `model`, of which no recipe is known, so that a run of it ends with exit code 2."""
    found = Live(keraspipe.workspace, "model", ("x", "n"))
    found.publish(KNOWN)
    return found


@pytest.fixture
def nowhere():
    """The address of an MLflow that does not answer."""
    return {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}


def test_drift_ends_with_4_and_is_reported_everywhere(model, keraspipe, tmp_path):
    from mlflow import MlflowClient

    model.send(MOVED)
    page, metrics = tmp_path / "page.html", tmp_path / "metrics.prom"
    answer = keraspipe("monitor", "model", "--json", "--html", page, "--prometheus", metrics)
    assert (4, "drift") == (answer.code, answer.json["status"])
    assert {"x"} == {one["feature"] for one in answer.json["findings"] if one["alert"]}
    assert "<svg" in page.read_text()
    assert 'keraspipe_drift_alert{model="model",version="1"} 1' in metrics.read_text()

    uri = f"sqlite:///{keraspipe.workspace / 'mlflow.db'}"
    client = MlflowClient(uri, uri)
    (run,) = client.search_runs([client.get_experiment_by_name("model").experiment_id])
    assert ("monitor", "drift", "FINISHED") == (
        run.data.tags["keraspipe.kind"],
        run.data.tags["keraspipe.status"],
        run.info.status,
    )
    (drift,) = [one for one in answer.json["findings"] if (one["key"], one["distance"]) == ("x", "Jensen-Shannon")]
    assert run.data.metrics["drift/x/Jensen-Shannon"] == pytest.approx(drift["value"])
    assert {"drift/report.html", "drift/report.json"} == {
        one.path for one in client.list_artifacts(run.info.run_id, "drift")
    }


def test_what_mlflow_missed_it_gets_the_next_time(model, keraspipe, nowhere):
    model.send(KNOWN[:100])
    away = keraspipe("monitor", "model", **nowhere)
    assert (0, True) == (away.code, "Not in MLflow yet" in away.err)
    assert "no drift" in away.out
    assert 0 == keraspipe("monitor", "model").code
    reports = list((keraspipe.workspace / "monitoring" / "model").iterdir())
    assert [True, True] == [(report / "recorded").exists() for report in reports]


def test_retraining_has_the_exit_code_of_the_run(model, keraspipe, nowhere):
    model.send(MOVED)
    answer = keraspipe("monitor", "model", "--retrain", **nowhere)
    assert (2, True) == (answer.code, "There is no recipe 'model'" in answer.err)


def test_without_drift_nothing_is_retrained(model, keraspipe, nowhere):
    model.send(KNOWN[:100])
    assert 0 == keraspipe("monitor", "model", "--retrain", **nowhere).code


def wait_for(status, process):
    """Reads reports until one has this status; the first ones may be of a log that is half written."""
    while json.loads(process.stdout.readline())["status"] != status:
        pass


def read_address(process):
    """The address that a monitor prints; a library may have written lines of its own before."""
    lines = []
    for line in process.stderr:
        if match := re.search(r"http\S+/metrics", line):
            return match.group()
        lines.append(line)
    pytest.fail(f"The monitor ended with code {process.wait()} and printed no address: {''.join(lines)}")


@contextmanager
def watching(keraspipe, *arguments, **environment):
    """A monitor that watches, and the address of its page; it ends on SIGTERM, with the exit code of drift."""
    process = keraspipe.start("monitor", *arguments, "--watch", "0.2", "--json", **environment)
    try:
        yield process, read_address(process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    finally:
        process.kill()
        process.communicate()
    assert 4 == process.returncode


def test_watching_tells_when_drift_begins(model, keraspipe, nowhere):
    with watching(keraspipe, "model", "--prometheus", "0", **nowhere) as (process, url):
        model.send(KNOWN[:100])
        wait_for("quiet", process)
        model.send(MOVED)
        wait_for("drift", process)
        wait_for("drift", process)  # the page is of the one before
        with urllib.request.urlopen(url, timeout=60) as page:
            assert b'keraspipe_drift_alert{model="model",version="1"} 1' in page.read()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nobody"], "There is no recipe 'nobody'"),
        (["model", "--prometheus", "9100"], "--watch SECONDS with --prometheus PORT"),
        (["model", "--allow", "x"], "--allow needs a feature and a distance"),
        (["model", "--allow", "x=7"], "--allow needs a feature and a distance"),
        (["model", "--since", "once"], "'once' is no time"),
        (["model", "--watch", "0"], "--watch needs a pause"),
        (["--all", "--prometheus", "0.0.0.0:9109"], "keraspipe monitor --all --watch 60 --prometheus 0.0.0.0:9109"),
        (["--all", "--watch", "1", "--prometheus", "65536"], "There is no such port"),
        ([], "NAME or --all"),
        (["model", "--all"], "model and --all"),
        (["--all", "--retrain"], "--retrain works for one recipe only"),
        (["--all", "--html", "page.html"], "--html works for one recipe only"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_options_end_with_2(options, message, model, keraspipe):
    answer = keraspipe("monitor", *options)
    assert (2, True) == (answer.code, message in answer.err), answer.err


def test_without_a_log_the_error_says_how_to_get_one(model, keraspipe):
    answer = keraspipe("monitor", "model")
    assert 1 == answer.code
    assert f"serve with: --request-log {Path(keraspipe.workspace) / 'request-log'}" in answer.err


def test_all_recipes_are_looked_at_once(model, keraspipe, nowhere, tmp_path):
    Workspace(keraspipe.workspace).model("other", 3).mkdir(parents=True)
    model.send(MOVED)
    metrics = tmp_path / "metrics.prom"
    answer = keraspipe("monitor", "--all", "--json", "--prometheus", metrics, **nowhere)
    found = {one["name"]: one for one in answer.json["recipes"]}
    assert (4, ["model", "other"]) == (answer.code, sorted(found))
    assert ("drift", True, 1) == (
        found["model"]["report"]["status"],
        found["model"]["request_log"],
        found["model"]["version"],
    )
    assert (None, False, 0, "") == tuple(found["other"][key] for key in ("report", "request_log", "version", "error"))
    assert 'keraspipe_champion_version{model="other"} 0.0' in metrics.read_text()


def test_all_recipes_in_words(model, keraspipe, nowhere):
    quiet = keraspipe("monitor", "--all", **nowhere)
    assert (0, True) == (quiet.code, quiet.out.startswith("model: version 1, drift is not known: no requests are"))
    model.send(KNOWN[:100])
    assert "no drift" in keraspipe("monitor", "--all", **nowhere).out
    shutil.rmtree(keraspipe.workspace / "profiles")
    shutil.rmtree(keraspipe.workspace / "artifacts")
    failed = keraspipe("monitor", "--all", **nowhere)
    assert (1, True) == (failed.code, "The training data of model do not exist any more" in failed.out)


def test_a_workspace_without_any_recipe_is_no_fault(keraspipe):
    answer = keraspipe("monitor", "--all", "--json")
    assert (0, {"recipes": []}) == (answer.code, answer.json)


def test_watching_all_begins_before_the_first_publication_and_goes_on(keraspipe, nowhere):
    with watching(keraspipe, "--all", "--prometheus", "0.0.0.0:0", **nowhere) as (process, url):
        assert [] == json.loads(process.stdout.readline())["recipes"]
        with urllib.request.urlopen(url, timeout=60) as page:
            assert b"keraspipe_champions 0.0" in page.read()
        model = Live(keraspipe.workspace, "model", ("x", "n"))
        model.publish(KNOWN)
        wait_for_look(process, lambda look: look["version"] == 1)
        model.send(MOVED)
        wait_for_look(process, lambda look: look["report"] and look["report"]["status"] == "drift")
        with urllib.request.urlopen(url, timeout=60) as page:  # it is replaced before the terminal is told
            assert b'keraspipe_drift_alert{model="model",version="1"} 1.0' in page.read()


def wait_for_look(process, condition):
    """Reads what is told of all recipes until a look at one of them is as wished."""
    while not any(map(condition, json.loads(process.stdout.readline())["recipes"])):
        pass
