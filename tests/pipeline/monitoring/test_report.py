"""Reports in words, as JSON, as a page and for Prometheus; new data before training; what goes wrong."""

import json
import shutil
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.errors import PipelineError, UsageError
from pipeline.monitoring import baseline, monitor, outputs, prometheus, report
from pipeline.monitoring.monitor import ModelHealth
from pipeline.store.layout import Workspace

from .conftest import ingested

KNOWN = [{"x": float(i % 50), "<c>": b'"\\\n%d' % (i % 3), "label": b"%d" % (i % 2)} for i in range(600)]
INPUTS = ("x", "<c>")


def moved(rows, by):
    return [{**row, "x": row["x"] + by} for row in rows]


@pytest.fixture
def model(live):
    return live(KNOWN, INPUTS)


@pytest.fixture
def drifted(model):
    model.send(moved(KNOWN[:200], 30))
    return model.monitored()


def test_the_terminal_says_what_drifts_by_how_much_and_why_that_is_too_much(drifted):
    text = "\n".join(report.render_table(drifted))
    assert "model: 200 requests from " in text
    assert "against 300 of the 600 training rows of version 1: drift in x" in text
    assert "- x: drift. Jensen-Shannon 0." in text
    assert "by chance (200 rows against 300, in one of 1,000 reports) and 0.02 that may change without harm." in text
    assert "Most changed: x above 49, 60.0% of the rows, 0.0% before." in text
    assert "Jensen-Shannon divergence in bits: 0 is the same distribution" in text


def test_json_has_every_comparison_and_its_cells(drifted):
    found = json.loads(json.dumps(drifted.as_json()))
    assert ("drift", 200, 1) == (found["status"], found["rows"], found["version"])
    (one,) = [one for one in found["findings"] if (one["key"], one["check"]) == ("x", "drift")]
    assert one["alert"]
    assert one["limit"] == pytest.approx(one["chance"] + one["allowed"])
    assert ["above 49", 0.0, 0.6] == one["cells"][-1]


def test_the_page_needs_nothing_else_and_takes_names_as_text(drifted):
    html = report.render_html(drifted)
    assert "<svg" in html
    assert "&lt;c&gt;" in html
    assert "<c>" not in html
    assert "http" not in html


def test_prometheus_reads_the_metrics(drifted):
    text = prometheus.render_text([ModelHealth.from_report(drifted)])
    families = {family.name: family.samples for family in text_string_to_metric_families(text)}
    (alert,) = families["keraspipe_drift_alert"]
    assert (1, {"model": "model", "version": "1"}) == (alert.value, alert.labels)
    of_x = {"model": "model", "version": "1", "feature": "x", "check": "drift", "distance": "Jensen-Shannon"}
    (distance,) = [one.value for one in families["keraspipe_drift_distance"] if one.labels == of_x]
    (limit,) = [one.value for one in families["keraspipe_drift_limit"] if one.labels == of_x]
    assert 0 < limit < distance <= 1


def test_prometheus_scrapes_the_newest_report(drifted):
    shown = prometheus.MetricsPage(0)
    try:
        shown.show([ModelHealth.from_report(drifted)])
        with urllib.request.urlopen(shown.url, timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert prometheus.render_text([ModelHealth.from_report(drifted)]) == answer.read().decode()
    finally:
        shown.close()


def test_a_port_that_is_taken_is_reported():
    shown = prometheus.MetricsPage(0)
    try:
        port = int(shown.url.rpartition(":")[2].partition("/")[0])
        with pytest.raises(PipelineError, match="cannot be used"):
            prometheus.MetricsPage(port)
    finally:
        shown.close()


def test_reports_are_kept_until_mlflow_has_them_and_then_the_newest(drifted, tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "MAX_REPORTS", 1)
    kept = [outputs.save_report(Workspace(tmp_path), drifted) for _ in range(3)]
    assert set(kept) == set(outputs.pending_reports(Workspace(tmp_path)))
    for folder in kept:
        (folder / outputs.RECORDED_MARK).touch()
    newest = outputs.save_report(Workspace(tmp_path), drifted)
    assert [newest] == outputs.pending_reports(Workspace(tmp_path))
    assert 2 == len(list(newest.parent.iterdir()))


def test_the_frame_outlives_the_training_data(model, drifted):
    shutil.rmtree(model.workspace / "artifacts")
    assert drifted.findings == model.monitored().findings


def test_training_data_that_are_gone_before_the_first_look_are_reported(model):
    model.send(KNOWN[:50])
    shutil.rmtree(model.workspace / "artifacts")
    with pytest.raises(PipelineError, match="training data of model do not exist any more"):
        model.monitored()


def test_a_model_whose_run_is_gone_is_reported(model):
    shutil.rmtree(Workspace(model.workspace).run("run").root)
    with pytest.raises(PipelineError, match="training data of version 1 of model are not known"):
        model.monitored()


def test_a_name_without_a_model_is_reported(tmp_path):
    with pytest.raises(UsageError, match="keraspipe run nobody"):
        baseline.find_champion(Workspace(tmp_path), "nobody")


def test_before_training_new_data_are_compared_with_those_of_the_live_model(model, tmp_path):
    same = ingested(tmp_path / "2", KNOWN[100:])
    other = ingested(tmp_path / "3", [{**row, "label": b"1"} for row in moved(KNOWN, 30)])
    assert "quiet" == monitor.compare_new_data(Workspace(model.workspace), model.name, same).status
    found = monitor.compare_new_data(Workspace(model.workspace), model.name, other)
    assert {"x", "label"} == set(report.alert_features(found))
    assert "rows of the new data" in report.headline(found)


def test_before_training_the_same_data_are_not_compared(model):
    assert (
        monitor.compare_new_data(
            Workspace(model.workspace),
            model.name,
            baseline.find_champion(Workspace(model.workspace), model.name)[1].examples,
        )
        is None
    )


def test_before_the_first_model_there_is_nothing_to_compare(tmp_path):
    assert monitor.compare_new_data(Workspace(tmp_path), "model", ingested(tmp_path / "1", KNOWN)) is None


def test_before_training_a_new_and_a_lost_column_are_reported(model, tmp_path):
    rows = [{"x": row["x"], "label": row["label"], "new": 1.0} for row in KNOWN]
    found = monitor.compare_new_data(Workspace(model.workspace), model.name, ingested(tmp_path / "2", rows))
    assert (("new is new",), ("<c> is in no row",)) == (found.notes, found.alerts)


def test_what_cannot_be_compared_stops_no_run(model, tmp_path):
    shutil.rmtree(model.workspace / "artifacts")
    found = monitor.compare_new_data(Workspace(model.workspace), model.name, ingested(tmp_path / "2", KNOWN))
    assert ("too few rows", ("they could not be compared: The training data of model do not exist any more.",)) == (
        found.status,
        found.notes,
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1_000_000 - 1800), ("1.5h", 1_000_000 - 5400), ("7d", 1_000_000 - 604_800), ("1970-01-02T00:00Z", 86_400)],
)
def test_a_time_is_a_time_ago_or_an_iso_time(text, seconds):
    assert seconds == monitor.parse_since(text, now=1_000_000)


@pytest.mark.parametrize("text", ["yesterday", "", "5", "-2h", "2026-13-01", "٣h"])
def test_what_is_no_time_is_reported(text):
    with pytest.raises(UsageError, match="is no time"):
        monitor.parse_since(text)
