"""What a person sees first in MLflow: a run's description, and the columns and charts of an experiment."""

import json

import pytest
from mlflow.tracking import MlflowClient

from pipeline.dashboard import server as dashboard
from pipeline.errors import UsageError
from pipeline.store import champions, fileio
from pipeline.store.champions import ModelVersion
from pipeline.store.layout import Workspace
from pipeline.tracking import alias_sync, overview, recorder
from pipeline.tracking.__main__ import main
from pipeline.tracking.client import TrackingStore

PLAIN = "plain-20260101-000000-aaaa"
BASE = "http://host:5000"


@pytest.fixture
def record(workspace, uri):
    return lambda run: main([str(workspace), run.folder.run_id, "--uri", uri])


def description(run) -> list[str]:
    return overview.describe_run(run.folder, "ab12").split("\n\n")


def test_the_description_begins_with_the_verdict_and_the_numbers(run, model):
    run.whole(model)
    first, reasons, picture, diagnosis, numbers = description(run)
    assert first.split("<br>") == [
        "**Blessed: version 4, published as champion** — A small network.",
        "On the test split: accuracy **0.9000**, loss **0.3000**",
    ]
    assert reasons == "- accuracy 0.9 >= 0.8"
    assert numbers.replace("&nbsp; ", "").splitlines() == [
        "| on the test split | accuracy | loss |",
        "| --- | ---: | ---: |",
        "| this network | 0.9000 | 0.3000 |",
        "| the champion before | 0.8000 | 0.4000 |",
    ]
    assert diagnosis == "Training: underfitting"
    address = "get-artifact?path=pictures%2Flearning_curves.png&run_uuid=ab12"
    assert picture == f"![Training and validation by epoch]({address})"


def test_the_baselines_stand_next_to_the_network(run, result):
    run.start()
    models = [{"name": "gradient boosting", "metrics": {"accuracy": 0.85}}]
    result |= {"baseline": None, "baselines": {"models": models, "words": "ahead of gradient boosting"}}
    run.write("evaluation", path=run.file("evaluation.json", result))
    first, *_, numbers = description(run)
    rows = numbers.replace("&nbsp; ", "").splitlines()[2:]
    assert rows == ["| this network | 0.9000 | 0.3000 |", "| gradient boosting | 0.8500 | - |"]
    assert first.split("<br>")[2] == "Baseline: ahead of gradient boosting"


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ({"status": "failed", "message": "no rows\nExpected: rows"}, "**Failed: no rows** — A small network."),
        ({"status": "finished", "message": ""}, "**Finished** — A small network."),
        (None, "A small network."),
    ],
)
def test_the_description_of_a_run_without_an_evaluation(run, end, words):
    run.start()
    if end:
        run.write("end", **end, seconds=1.0)
    assert description(run) == [words]


def test_a_refused_run_says_so(run, result):
    run.start()
    result["gate"] = {"blessed": False, "reasons": ["too small"]}
    run.write("evaluation", path=run.file("evaluation.json", result))
    verdict, reasons = (part.split("<br>")[0] for part in description(run)[:2])
    assert (verdict, reasons) == ("**Not blessed, not published** — A small network.", "- too small")


def test_the_view_has_the_verdict_and_the_joint_charts_first():
    metrics = ["val_auc", "auc", "loss", "val_loss", "test/auc", "epoch_seconds"]
    view = json.loads(overview.experiment_view(metrics, ["auc", "loss", "mse"]))
    assert view["selectedColumns"] == [
        "tags.`gate`",
        "tags.`alias`",
        "metrics.`test/auc`",
        "tags.`baseline`",
    ]
    charts = [chart["selectedMetricKeys"] for chart in view["compareRunCharts"]]
    assert charts == [["loss", "val_loss"], ["auc", "val_auc"]]
    assert {chart["metricSectionId"] for chart in view["compareRunCharts"]} == {view["compareRunSections"][0]["uuid"]}


@pytest.mark.heavy
def test_the_logged_model_says_what_it_is(run, model, record, uri):
    run.whole(model)
    record(run)
    client = MlflowClient(uri)
    (logged,) = client.search_logged_models([client.get_experiment_by_name("digits").experiment_id])
    assert {"learning_rate": "0.001", "layers": "[16, 32]"} == logged.params
    assert {"test/accuracy": 0.9, "test/loss": 0.3}.items() <= {m.key: m.value for m in logged.metrics}.items()
    assert logged.tags["mlflow.note.content"].startswith("**Blessed")


def published(run, model, record, alias):
    """A recorded run that has published version 5 under an alias."""
    run.whole()
    run.register(model, "d2")
    run.write("publish", version=5, digest="d2", alias=alias)
    run.write("end", status="finished", message="", seconds=1.0)
    record(run)
    return run


@pytest.mark.heavy
def test_runs_show_the_alias_that_they_have_now(run, another, model, workspace, uri, record):
    run.whole(model)
    record(run)
    second = published(another(workspace, "run-2"), model, record, "champion")
    assert [None, "champion"] == [alias_of(one, uri) for one in (run, second)]
    champions.set_champion(Workspace(workspace), "digits", ModelVersion(4, "d1", "run-1"))
    alias_sync.push_aliases(TrackingStore(uri, Workspace(workspace)), Workspace(workspace), "digits")
    assert ["champion", None] == [alias_of(one, uri) for one in (run, second)]


@pytest.mark.heavy
def test_a_quick_version_is_called_so_and_the_champion_stays(run, another, model, workspace, uri, record):
    for number in (4, 5):
        Workspace(workspace).model("digits", number).mkdir(parents=True)
    run.whole(model)
    record(run)
    quick = published(another(workspace, "run-2"), model, record, "quick")
    assert ["champion", "quick"] == [alias_of(one, uri) for one in (run, quick)]
    client = MlflowClient(uri)
    (version,) = client.search_model_versions("name = 'digits' and tags.serving_version = '5'")
    assert "true" == version.tags["quick"]
    aliases = client.get_registered_model("digits").aliases
    assert {"champion": "4"} == {
        name: client.get_model_version("digits", one).tags["serving_version"] for name, one in aliases.items()
    }
    assert "quick" in description(quick)[0]


def alias_of(run, uri: str) -> str | None:
    tags = MlflowClient(uri).get_run(recorder.read_outcome(run.folder).mlflow_run_id).data.tags
    return tags.get(alias_sync.ALIAS_TAG)


@pytest.fixture
def recorded(another, workspace):
    """A run in the records, as if MLflow had it."""

    def make(run_id: str, experiment: str, *, has_view: bool = True) -> None:
        run = another(workspace, run_id)
        run.file("recorded.json", {"mlflow_run_id": f"m-{run_id}", "experiment_id": experiment, "has_view": has_view})

    return make


def test_the_dashboard_opens_what_is_asked_for(recorded, workspace):
    recorded(PLAIN, "3")
    pages = {target: dashboard.find_page(Workspace(workspace), target)(BASE) for target in ("", "plain", PLAIN)}
    runs = f"{BASE}/#/experiments/3/runs?workflowType=machine_learning&viewStateShareKey=keraspipe"
    run = f"{BASE}/#/experiments/3/runs/m-{PLAIN}?workflowType=machine_learning"
    assert {"": runs, "plain": runs, PLAIN: run} == pages


def test_the_dashboard_opens_the_run_that_made_a_version(recorded, workspace):
    home, second = Workspace(workspace), PLAIN.replace("aaaa", "bbbb")
    for number, run_id in ((3, PLAIN), (4, second)):
        recorded(run_id, "3")
        home.model("plain", number).mkdir(parents=True)
        home.run(run_id).journal.touch()
        result = {"run_id": run_id, "recipe": "plain", "model_version": number, "steps": [{"name": "publish"}]}
        fileio.write_json(home.run(run_id).result, result)
    pages = [dashboard.find_page(home, f"plain@{number}")(BASE) for number in (3, 4)]
    assert [f"{BASE}/#/experiments/3/runs/m-{name}?workflowType=machine_learning" for name in (PLAIN, second)] == pages
    with pytest.raises(UsageError, match=r"(?s)no published version plain@5.*Expected: plain@3, plain@4"):
        dashboard.find_page(home, "plain@5")
    home.run(PLAIN).journal.unlink()
    with pytest.raises(UsageError, match="The run that made plain@3 is no longer recorded"):
        dashboard.find_page(home, "plain@3")


def test_the_dashboard_of_several_recipes_opens_their_list(recorded, workspace):
    recorded(PLAIN, "3")
    recorded(PLAIN.replace("plain", "other"), "4", has_view=False)
    assert f"{BASE}/#/experiments?workflowType=machine_learning" == dashboard.find_page(Workspace(workspace), "")(BASE)
    page = dashboard.find_page(Workspace(workspace), "other")(f"{BASE}/")
    assert f"{BASE}/#/experiments/4/runs?workflowType=machine_learning" == page


def test_what_is_not_recorded_is_named(recorded, workspace):
    recorded(PLAIN, "3")
    with pytest.raises(UsageError, match="did you mean plain"):
        dashboard.find_page(Workspace(workspace), "plan")
