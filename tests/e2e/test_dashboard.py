"""What a run leaves for people: MLflow's pages in a browser, the way between MLflow and ML Metadata, the card."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from urllib.parse import quote

import pytest
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto.metadata_store_pb2 import ConnectionConfig
from mlflow import MlflowClient

from .conftest import free_port

pytestmark = pytest.mark.xdist_group("digits")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ATTEMPTS = 4  # on a busy machine a page may be asked for before its numbers are there


@pytest.fixture(scope="module")
def mlflow(digits):
    """MLflow of the workspace, and its run of digits."""
    client = MlflowClient(f"sqlite:///{digits.workspace / 'mlflow.db'}")
    return client, client.get_run(digits.result["mlflow_run_id"])


@pytest.fixture(scope="module")
def page(digits, tmp_path_factory):
    """Opens a page of the dashboard in a headless browser until it shows what it is asked for."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on PATH")
    port, profile = free_port(), tmp_path_factory.mktemp("browser")
    dashboard = digits.keraspipe.start("dashboard", "--port", str(port))
    assert f"http://127.0.0.1:{port}" in dashboard.stdout.readline(), dashboard.stderr.read()
    command = [browser, "--headless=new", "--disable-gpu", "--no-proxy-server", f"--user-data-dir={profile}"]
    command += ["--no-sandbox"] * (os.geteuid() == 0) + ["--window-size=1500,1100", "--virtual-time-budget=30000"]

    def opened(path, *expected):
        for _ in range(ATTEMPTS):
            done = subprocess.run(
                [*command, "--dump-dom", f"http://127.0.0.1:{port}/#/{path}"],
                capture_output=True,
                text=True,
                timeout=120,
                check=True,
            )
            if all(re.search(part, done.stdout) for part in expected):
                return done.stdout
        return done.stdout

    yield opened
    dashboard.send_signal(signal.SIGINT)
    dashboard.communicate(timeout=60)


def curve(run, name):
    """The address of a curve, as MLflow's own links have it."""
    asked = {
        "runs": [run.info.run_id],
        "metric": name,
        "experiments": [run.info.experiment_id],
        "plot_metric_keys": [name],
        "plot_layout": {"autosize": True, "xaxis": {}, "yaxis": {}},
        "deselected_curves": [],
        "last_linear_y_axis_range": [],
    }
    query = [f"{key}={quote(json.dumps(value))}" for key, value in asked.items()]
    return "metric?" + "&".join([*query, "x_axis=step", "y_axis_scale=linear", "line_smoothness=1", "show_point=false"])


def test_a_browser_sees_the_run_with_its_steps_data_and_version(page, mlflow):
    _, run = mlflow
    expected = ("Child runs", r">\s*publish", "Datasets", "test/accuracy", "Registered models", "uv_lock")
    shown = page(f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}", *expected)
    assert [] == [part for part in expected if not re.search(part, shown)]


@pytest.mark.parametrize("name", ["val_loss", "step/gradient_norm", "system/system_memory_usage_megabytes"])
def test_a_browser_sees_the_curves(page, mlflow, name):
    expected = (r'class="trace scatter', re.escape(name))
    shown = page(curve(mlflow[1], name), *expected)
    assert [] == [part for part in expected if not re.search(part, shown)]


@pytest.mark.parametrize("path", ["pictures/learning_curves.png", "pictures/confusion_matrix.png"])
def test_a_browser_sees_the_pictures(page, mlflow, path):
    _, run = mlflow
    picture = rf'<img alt="{path}" src="blob:'
    shown = page(f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/{path}", picture)
    assert re.search(picture, shown)


def test_a_browser_sees_the_report_on_the_data(page, mlflow):
    _, run = mlflow
    where = f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/data/statistics.html"
    shown = page(where, "<iframe", "data/statistics.html")
    assert "<iframe" in shown


def test_a_browser_sees_the_version_with_its_alias(page):
    expected = ("Version 1", "champion", "serving_version")
    shown = page("models/digits", *expected)
    assert [] == [part for part in expected if part not in shown]


def test_the_way_leads_from_mlflow_to_ml_metadata_and_back(digits, mlflow):
    client, run = mlflow
    own = f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
    children = {child.info.run_name: child for child in client.search_runs([run.info.experiment_id], own)}
    assert {step["name"] for step in digits.result["steps"]} == set(children)
    store = MetadataStore(ConnectionConfig(sqlite={"filename_uri": str(digits.workspace / "metadata.db")}))
    for child in children.values():
        (execution,) = store.get_executions_by_id([int(child.data.tags["mlmd.execution_id"])])
        assert child.info.run_id == execution.custom_properties["mlflow_run_id"].string_value
    (context,) = store.get_contexts_by_id([int(run.data.tags["mlmd.context_id"])])
    assert run.info.run_id == context.custom_properties["mlflow_run_id"].string_value
    assert "TransformGraph" in children["train"].data.tags["input.transform_graph"]


def test_mlflow_tells_data_environment_and_points_within_epochs(mlflow):
    client, run = mlflow
    (data,) = run.inputs.dataset_inputs
    assert run.data.tags["data_digest"].startswith(data.dataset.digest)
    assert {"step/loss", "step/gradient_norm", "step/learning_rate"} <= set(run.data.metrics)
    assert run.data.metrics["step/gradient_norm"] > 0
    assert run.data.tags["tensorflow"].startswith("2.")
    folders = ("data", "environment", "card")
    found = [item.path for folder in folders for item in client.list_artifacts(run.info.run_id, folder)]
    assert {"data/statistics.html", "environment/requirements.txt", "card/card.html", "card/card.md"} <= set(found)


def test_the_card_describes_the_version(digits, mlflow):
    client, _ = mlflow
    card = digits.keraspipe("card", "digits")
    assert 0 == card.code, card.err
    described = client.get_model_version_by_alias("digits", "champion")
    assert described.description.startswith("# digits version 1")
    assert card.out.startswith("# digits version 1")


def test_the_curl_of_the_card_works_as_it_is_printed(digits):
    if shutil.which("curl") is None:
        pytest.skip("no curl on PATH")
    card = digits.keraspipe("card", "digits@1").out
    (printed,) = re.findall(r"```sh\n(curl .*)\n```", card)
    rest = free_port()
    server = digits.keraspipe.start("serve", "digits", "--rest-port", str(rest), "--grpc-port", str(free_port()))
    try:
        assert "digits (version 1)" in server.stdout.readline(), server.stderr.read()
        command = printed.replace("127.0.0.1:8501", f"127.0.0.1:{rest}")  # the default port may be taken here
        answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)
    (prediction,) = json.loads(answer.stdout)["predictions"]
    assert prediction["label"] in "0123456789"
    assert sum(prediction["probabilities"]) == pytest.approx(1.0, abs=1e-3)


def test_a_browser_sees_training_and_validation_in_one_chart_first(page, mlflow):
    _, run = mlflow
    charts = f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}/model-metrics"
    section = r'white-space: pre;">(Training and validation|step|test|Model metrics)</div>'
    sections = re.findall(section, page(charts, "loss vs val_loss", section))
    assert ["Training and validation", "step", "Model metrics"] == sections
