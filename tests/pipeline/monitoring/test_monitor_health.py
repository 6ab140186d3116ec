"""Looks at all recipes of a workspace, and what Prometheus sees of them."""

import re
import shutil
import socket
import subprocess
import urllib.request

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pipeline.errors import PipelineError, UsageError
from pipeline.monitoring import monitor, prometheus
from pipeline.store import champions, fileio
from pipeline.store.layout import Workspace

KNOWN = [{"x": float(i % 50)} for i in range(400)]
MOVED = [{"x": row["x"] + 30} for row in KNOWN[:200]]
MODEL = {"model": "model"}
VERSION = {**MODEL, "version": "1"}


@pytest.fixture
def model(live):
    return live(KNOWN, ("x",))


def measured(looks):
    """Values by metric and labels, as Prometheus reads them."""
    families = text_string_to_metric_families(prometheus.render_text(looks))
    return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}


def value(looks, name, **labels):
    return measured(looks).get((f"keraspipe_{name}", frozenset(labels.items())))


def test_without_any_recipe_prometheus_sees_that_there_is_no_champion(tmp_path):
    assert {("keraspipe_champions", frozenset()): 0} == measured(monitor.list_champions(Workspace(tmp_path)))


def publish(workspace, name, version):
    Workspace(workspace).model(name, version).mkdir(parents=True)
    champions.set_champion(Workspace(workspace), name, champions.ModelVersion(version, "digest", "run"))


def test_a_recipe_that_is_published_later_appears(model):
    assert ["model"] == monitor.list_recipes(Workspace(model.workspace))
    publish(model.workspace, "other", 1)
    found = monitor.list_champions(Workspace(model.workspace))
    assert ["model", "other"] == [one.name for one in found]
    assert 2 == value(found, "champions")


def test_the_champion_is_reported_by_its_version(model):
    publish(model.workspace, "model", 12)
    assert 12 == value(monitor.list_champions(Workspace(model.workspace)), "champion_version", **MODEL)


@pytest.mark.parametrize("lost", ["champions", "serving/model/1"])
def test_a_recipe_without_a_champion_has_version_0(lost, model):
    Workspace(model.workspace).model("model", 2).mkdir()
    shutil.rmtree(model.workspace / lost)
    (found,) = monitor.list_champions(Workspace(model.workspace))
    assert ("model: no version is live", 0) == (found.headline, value([found], "champion_version", **MODEL))
    assert 0 == value([found], "champions")
    assert 0 == monitor.check_health(Workspace(model.workspace), "model", model.log).version


def logs(model):
    """Request logs without a request: none, an empty folder, one of another model."""
    empty, other = model.workspace / "empty", model.workspace / "other"
    empty.mkdir()
    (other / "model").mkdir(parents=True)
    return model.log, empty, other


def test_without_a_request_log_nothing_is_raised_and_that_is_said(model):
    for log in logs(model):
        found = monitor.check_health(Workspace(model.workspace), "model", log)
        assert (1, False, False, "") == (found.version, found.logged, found.has_drift, found.error)
        assert "no requests are logged (tensorflow/serving logs none" in found.headline
        assert 0 == value([found], "request_log", **MODEL)
        assert 0 == value([found], "drift_rows", **VERSION)
        assert value([found], "drift_alert", **VERSION) is None
        assert found.made == value([found], "monitor_look_timestamp_seconds", **MODEL)


def test_drift_is_reported_by_feature_next_to_its_limit(model):
    model.send(MOVED)
    found = monitor.check_health(Workspace(model.workspace), "model", model.log)
    assert (True, 1) == (found.has_drift, value([found], "request_log", **MODEL))
    assert (1, 200) == (value([found], "drift_alert", **VERSION), value([found], "drift_rows", **VERSION))
    labels = {**VERSION, "feature": "x", "check": "drift", "distance": "Jensen-Shannon"}
    assert value([found], "drift_limit", **labels) < value([found], "drift_distance", **labels)
    assert 1 == value([found], "drift_exceeded", **labels)
    assert 0 == value([found], "drift_exceeded", **{**labels, "check": "missing", "distance": "share"})


def test_too_few_requests_raise_nothing(model):
    model.send(MOVED[:5])
    found = monitor.check_health(Workspace(model.workspace), "model", model.log)
    assert (False, 5) == (found.has_drift, value([found], "drift_rows", **VERSION))


def test_what_cannot_be_compared_is_reported_and_raises_nothing(model):
    model.send(MOVED)
    shutil.rmtree(model.workspace / "artifacts")
    found = monitor.check_health(Workspace(model.workspace), "model", model.log)
    assert "model: version 1, drift is not known: The training data of model do not exist any more." in found.headline
    assert (1, 1) == (value([found], "monitor_failed", **MODEL), value([found], "champion_version", **MODEL))
    assert not found.has_drift


def test_a_fault_that_nobody_thought_of_is_reported_too(model):
    model.send(MOVED)
    fileio.write_json(model.workspace / "profiles" / "model" / "1.json", {"format": 1, "frame": {}})
    assert "KeyError" in monitor.check_health(Workspace(model.workspace), "model", model.log).error


def test_a_damaged_record_of_the_champion_is_reported(model):
    Workspace(model.workspace).champion("model").write_text("{")
    (found,) = monitor.list_champions(Workspace(model.workspace))
    assert (0, True) == (found.version, "is damaged" in found.error)


def test_the_outcome_changes_with_what_is_found(model):
    none = monitor.check_health(Workspace(model.workspace), "model", model.log)
    model.send(KNOWN[:100])
    quiet, again = (monitor.check_health(Workspace(model.workspace), "model", model.log) for _ in range(2))
    assert quiet.outcome == again.outcome != none.outcome
    model.send(MOVED)
    assert quiet.outcome != monitor.check_health(Workspace(model.workspace), "model", model.log).outcome


@pytest.mark.process
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed here")
def test_promtool_finds_no_fault_with_the_page(model):
    model.send(MOVED)
    page = prometheus.render_text([monitor.check_health(Workspace(model.workspace), "model", model.log)])
    answer = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (0, "") == (answer.returncode, answer.stderr)


@given(st.text())
def test_any_name_is_read_back(name):
    assert 3 == value([monitor.ModelHealth(name, 3)], "champion_version", model=name)


def test_a_name_that_is_no_text_is_shown_all_the_same():
    assert 3 == value([monitor.ModelHealth("a\udcff", 3)], "champion_version", model="a?")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9109", ("127.0.0.1", 9109)),
        ("0.0.0.0:9109", ("0.0.0.0", 9109)),
        ("monitor:0", ("monitor", 0)),
        ("[::]:9109", ("::", 9109)),
        ("metrics.prom", None),
        ("./9109", None),
        ("/a/b:9109", None),
        (":9109", None),
        ("٣", None),
    ],
)
def test_an_address_is_derived_from_a_file(text, expected):
    assert expected == prometheus.parse_address(text)


@pytest.mark.parametrize("text", ["65536", "0.0.0.0:99999"])
def test_an_impossible_port_is_reported(text):
    with pytest.raises(UsageError, match="no such port"):
        prometheus.parse_address(text)


def test_an_address_of_another_machine_is_reported():
    with pytest.raises(PipelineError, match=re.escape("Port 0 of 192.0.2.1 cannot be used")):
        prometheus.MetricsPage(0, "192.0.2.1")


def test_the_page_says_before_the_first_look_that_there_is_no_champion():
    page = prometheus.MetricsPage(0)
    try:
        with urllib.request.urlopen(page.url, timeout=10) as answer:
            assert b"\nkeraspipe_champions 0.0\n" in answer.read()
    finally:
        page.close()


@pytest.mark.heavy
def test_the_page_listens_on_all_addresses_only_where_that_is_asked_for():
    for host, expected in ((prometheus.HOST, "127.0.0.1"), ("0.0.0.0", "0.0.0.0")):
        page = prometheus.MetricsPage(0, host)
        try:
            assert page.url.startswith(f"http://{expected}:")
        finally:
            page.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_the_page_listens_on_ipv6():
    try:
        page = prometheus.MetricsPage(0, "::1")
    except PipelineError:
        pytest.skip("this machine has no address ::1")
    try:
        with urllib.request.urlopen(page.url, timeout=10) as answer:
            assert 200 == answer.status
    finally:
        page.close()
