"""Grafana's provisioned files: the dashboard asks for what there is, of the data source that there is."""

import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest
import yaml

from .promql import metrics

pytestmark = pytest.mark.xdist_group("monitoring")  # one model for both files

ROOT = Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "docker/grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards/keraspipe.json").read_text())
SOURCE = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())
PROVIDER = yaml.safe_load((GRAFANA / "provisioning/dashboards/keraspipe.yml").read_text())
SERVICE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
PANELS = DASHBOARD["panels"]
EXPRESSIONS = [
    *(target["expr"] for panel in PANELS for target in panel["targets"]),
    *(annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]),
]


def objects(value):
    """All objects within a JSON value."""
    if isinstance(value, dict):
        yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from objects(child)


def test_panels_have_a_title_a_word_of_what_they_show_and_a_place_of_their_own():
    cells = []
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells += [
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
    assert len(set(cells)) == len(cells)
    assert len(PANELS) == len({panel["id"] for panel in PANELS})


def test_every_query_asks_the_provisioned_data_source():
    used = {one["datasource"]["uid"] for one in objects(DASHBOARD) if "datasource" in one}
    assert {source["uid"] for source in SOURCE["datasources"]} == used


def test_each_query_of_a_panel_has_a_letter_of_its_own():
    for panel in PANELS:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)


def test_variables_are_declared():
    used = {name for expression in EXPRESSIONS for name in re.findall(r"\$(\w+)", expression)}
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} == used


def test_the_files_lie_where_grafana_looks():
    (provider,) = PROVIDER["providers"]
    assert f"./docker/grafana/dashboards:{provider['options']['path']}:ro" in SERVICE["volumes"]
    assert "./docker/grafana/provisioning:/etc/grafana/provisioning:ro" in SERVICE["volumes"]
    home = SERVICE["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert f"{provider['options']['path']}/keraspipe.json" == home


def test_what_is_asked_for_is_shown():
    asked = " ".join(EXPRESSIONS)
    wanted = ("up{", "model:requests", "ratio5m", "p50", "p95", "p99", "current_sessions", "champion_version", "ALERTS")
    assert [] == [name for name in (*wanted, "drift_distance", "drift_limit") if name not in asked]


def test_every_metric_is_one_that_is_exported(exported):
    named = {name for expression in EXPRESSIONS for name in metrics(expression)}
    assert set() == {name for name in named if not name.startswith("haproxy_")} - exported


@pytest.mark.process
@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed here")
def test_every_metric_of_the_balancer_is_one_that_haproxy_exports(tmp_path, free_port, eventually):
    port = free_port()
    config = (ROOT / "docker/balancer/haproxy.cfg").read_text().replace(":8404", f"127.0.0.1:{port}")
    for other in ("8501", "8500"):
        config = config.replace(f"bind :{other}", f"bind 127.0.0.1:{free_port()}")
    (tmp_path / "haproxy.cfg").write_text(config)
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(["haproxy", "-db", "-f", tmp_path / "haproxy.cfg"], stdout=log, stderr=log)
    try:
        page = eventually(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read())
    finally:
        process.kill()
        process.wait()
    named = {name for one in EXPRESSIONS for name in metrics(one) if name.startswith("haproxy_")}
    assert named
    assert set() == {name for name in named if f"\n{name}{{" not in page.decode()}


@pytest.mark.process
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed here")
def test_every_expression_is_understood(tmp_path):
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$model", ".*")}
        for number, expression in enumerate(EXPRESSIONS)
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    command = ["promtool", "check", "rules", tmp_path / "rules.yml"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 0 == answer.returncode, answer.stderr
