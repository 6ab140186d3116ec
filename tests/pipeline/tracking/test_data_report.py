"""The report on the data, the data as MLflow's input, the environment: from events to what MLflow shows."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.tracking import MlflowClient
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

from pipeline.reports import data_report, data_statistics
from pipeline.reports.data_statistics import Bucket, Column
from pipeline.tracking import recorder
from pipeline.tracking.__main__ import main

SCHEMA = """
feature { name: "age" type: FLOAT presence { min_fraction: 0.95 } shape { dim { size: 1 } } }
feature { name: "job" type: BYTES presence { min_fraction: 1.0 } domain: "job" }
string_domain { name: "job" value: "cook" value: "<b>clerk</b>" }
"""


def statistics(rows, missing):
    found = DatasetFeatureStatisticsList()
    dataset = found.datasets.add(num_examples=rows)
    age = dataset.features.add()
    age.path.step.append("age")
    age.num_stats.common_stats.num_non_missing = rows - missing
    age.num_stats.mean, age.num_stats.max = 40.5, 90.0
    histogram = age.num_stats.histograms.add()
    for low in (0.0, 45.0):
        histogram.buckets.add(low_value=low, high_value=low + 45, sample_count=rows / 2)
    job = dataset.features.add()
    job.path.step.append("job")
    job.string_stats.common_stats.num_non_missing = rows
    job.string_stats.unique = 2
    job.string_stats.rank_histogram.buckets.add(label="<b>clerk</b>", sample_count=rows - 1)
    return found.SerializeToString()


@pytest.fixture
def data(run):
    """The event `data` of a table whose eval split misses ages and holds an unknown job."""
    home = run.folder.workspace.root / "artifacts"
    for split, rows, missing in (("train", 80, 0), ("eval", 10, 5), ("test", 10, 0)):
        path = home / "statistics" / f"Split-{split}" / "FeatureStats.pb"
        path.parent.mkdir(parents=True)
        path.write_bytes(statistics(rows, missing))
    (home / "schema.pbtxt").write_text(SCHEMA)
    return {
        "name": "people",
        "digest": "f" * 64,
        "files": ["/data/people.csv"],
        "report": run.file("report.json", {"sound": 100, "bad": ["people.csv:7: no <age>"], "rows": {"train": 80}}),
        "anomalies": run.file("anomalies.json", ["eval: job: Unexpected string values: pilot"]),
        "statistics": "artifacts/statistics",
        "schema": "artifacts/schema.pbtxt",
    }


def shown(data, workspace):
    places = {name: workspace / data[name] for name in ("statistics", "schema", "anomalies", "report")}
    return data_report.render_html(data["name"], data["digest"], data_report.Sources(**places))


def test_the_report_tells_splits_missing_values_anomalies_and_bad_rows(data, workspace):
    text = shown(data, workspace)
    for part in (
        "80",
        "50.00%",
        "Unexpected string values: pilot",
        "people.csv:7: no &lt;age&gt;",
        "40.5",
        "of 101 rows",
    ):
        assert part in text
    assert "one of 2 values" in text
    assert text.count("<polygon") == 3


def test_the_report_stands_alone_and_what_the_data_hold_is_no_markup(data, workspace):
    text = shown(data, workspace)
    assert "<b>clerk" not in text
    assert "&lt;b&gt;clerk" in text
    assert re.findall(r"(?:src|href)=|url\(|@import|https?://|<script", text) == []


def test_features_are_read_without_tensorflow(data, workspace):
    features = data_statistics.read_features(workspace / data["statistics"], workspace / data["schema"], [])
    assert [(one.name, one.kind) for one in features] == [("age", "number"), ("job", "text")]
    assert features[0].declared == "float, in at least 95% of the rows"
    assert {split: column.missing for split, column in features[0].splits.items()} == {"train": 0, "eval": 5, "test": 0}


def test_mlflow_has_the_report_and_the_data_as_input(run, data, uri, workspace, tmp_path):
    run.start()
    run.write("data", **data)
    run.write("data", **data)
    assert main([str(workspace), "run-1", "--uri", uri]) == 0
    outcome = recorder.read_outcome(run.folder)
    assert outcome.error == ""
    client = MlflowClient(uri)
    (given,) = client.get_run(outcome.mlflow_run_id).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("people", "f" * 36)
    assert json.loads(given.dataset.profile) == {"num_rows": 100, "train": 80, "eval": 10, "test": 10}
    assert "people.csv" in given.dataset.source
    report = Path(client.download_artifacts(outcome.mlflow_run_id, "data/statistics.html", str(tmp_path)))
    assert "Data of people" in report.read_text()


@pytest.mark.heavy
def test_the_logged_model_names_the_data_that_its_numbers_come_from(run, data, result, model, uri, workspace):
    run.start()
    run.write("data", **data)
    run.write("evaluation", path=run.file("evaluation.json", result))
    run.register(model)
    assert main([str(workspace), "run-1", "--uri", uri]) == 0
    client = MlflowClient(uri)
    (logged,) = client.search_logged_models([client.get_experiment_by_name("digits").experiment_id])
    told = {(m.key, m.dataset_name, m.dataset_digest) for m in logged.metrics}
    assert told >= {(f"test/{name}", "people", "f" * 36) for name in result["metrics"]}


def test_mlflow_has_the_environment(run, environment_facts, uri, workspace, tmp_path):
    run.start()
    run.write("environment", path=run.file("environment.json", environment_facts))
    main([str(workspace), "run-1", "--uri", uri])
    client, run_id = MlflowClient(uri), recorder.read_outcome(run.folder).mlflow_run_id
    tags = client.get_run(run_id).data.tags
    expected = {"uv_lock": "10c4", "mlflow.source.git.commit": "c0ffee", "git_dirty": "True", "gpu": "none"}
    assert expected.items() <= tags.items()
    packages = Path(client.download_artifacts(run_id, "environment/requirements.txt", str(tmp_path)))
    assert packages.read_text() == "keras==3.15.0\nnumpy==2.0.0\n"


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.builds(Bucket, NUMBERS, NUMBERS, st.floats(0, 1e9)), max_size=4), st.text(max_size=40))
def test_any_statistics_can_be_drawn(buckets, value):
    columns = {"train": Column(3, 0, buckets=sorted(buckets, key=lambda one: one.low)), "test": Column(0, 0)}
    assert "nan" not in data_report.draw_histogram(columns)
    valued = {"train": Column(3, 1, values={value: 2.0}), "eval": Column(0, 0)}
    assert data_report.draw_bars(valued).count("<rect") == 2


def test_dates_are_counted_by_month_in_the_order_of_time():
    days = {"2024-03-02": 2.0, "2023-12-31": 1.0, "2024-03-01T10:00": 4.0}
    assert [("2023-12", 1.0), ("2024-03", 6.0)] == list(data_statistics.count_months(days).items())
    assert {} == data_statistics.count_months({**days, "soon": 1.0}) == data_statistics.count_months({})


@pytest.mark.parametrize(("years", "labels"), [(2, ["2020-01", "2020-02"]), (9, ["2020", "2021"])])
def test_many_months_are_drawn_by_year(years, labels):
    months = [f"{2020 + year}-{month:02}" for year in range(years) for month in range(1, 13)]
    columns = {
        "train": Column(500, 0, values=dict.fromkeys(months[6:], 1.0)),
        "test": Column(500, 0, values={months[0]: 1.0, months[1]: 2.0}),
    }
    drawn = re.findall(r">(\d{4}(?:-\d\d)?)</text>", data_report.draw_bars(columns))
    assert labels == drawn[:2]
    assert sorted(drawn) == drawn
    assert len(drawn) == (20 if years == 2 else 9)
