"""Prometheus' configuration and alert rules: checked by promtool, and run over real servers."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import subprocess
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from .conftest import RULES, ask
from .promql import metrics
from .test_grafana import EXPRESSIONS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docker/prometheus"
CONFIG = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
CASES = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
ALL = [rule for group in RULES["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in ALL if "alert" in rule]
JOBS = {job["job_name"]: job for job in CONFIG["scrape_configs"]}

pytestmark = pytest.mark.xdist_group("monitoring")  # one model for both files

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed here")
needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed here")
alerts = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.process
@needs_promtool
@pytest.mark.parametrize(
    "arguments",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")],
    ids=" ".join,
)
def test_promtool_finds_no_fault(arguments):
    answer = promtool(*arguments[:2], FOLDER / arguments[2])
    assert 0 == answer.returncode, answer.stdout + answer.stderr


@pytest.mark.process
@needs_promtool
@pytest.mark.parametrize("expression", ["vector(0) > 0", "vector(1)"], ids=["never fires", "always fires"])
def test_the_cases_notice_each_alert_that_does_not_follow_what_happens(expression, tmp_path):
    changed = json.loads(json.dumps(RULES))
    for group in changed["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["expr"] = expression
    (tmp_path / "alerts.yml").write_text(yaml.safe_dump(changed))
    shutil.copy(FOLDER / "alerts_test.yml", tmp_path)
    noticed = set(re.findall(r"alertname: (\w+)", promtool("test", "rules", tmp_path / "alerts_test.yml").stderr))
    assert {alert["alert"] for alert in ALERTS} == noticed


@alerts
def test_an_alert_says_how_bad_it_is_what_it_is_and_what_to_do(alert):
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert alert["for"]
    assert alert["annotations"]["summary"]
    assert re.search(r"docker compose|keraspipe", alert["annotations"]["description"])


@alerts
def test_there_are_cases_in_which_an_alert_fires_and_is_silent(alert):
    found = [one for case in CASES for one in case["alert_rule_test"] if one["alertname"] == alert["alert"]]
    assert {True, False} == {bool(one["exp_alerts"]) for one in found}


def test_there_is_an_alert_for_everything_that_is_asked_for():
    assert {"ServingDown", "ErrorRate", "LatencyP99", "NoChampion", "Drift"} <= {one["alert"] for one in ALERTS}


def test_every_metric_of_the_rules_is_one_that_is_exported(exported):
    assert set() == {name for rule in ALL for name in metrics(rule["expr"])} - exported


def hosts(job):
    """Host and port of a job's targets."""
    static = [target.split(":") for one in job.get("static_configs", []) for target in one["targets"]]
    names = [(name, one["port"]) for one in job.get("dns_sd_configs", []) for name in one["names"]]
    return [(host, int(port)) for host, port in [*static, *names]]


@pytest.mark.parametrize("job", [JOBS[name] for name in JOBS if name != "prometheus"], ids=lambda job: job["job_name"])
def test_targets_are_services_that_prometheus_reaches(job):
    for host, _ in hosts(job):
        assert set(SERVICES[host]["networks"]) & set(SERVICES["prometheus"]["networks"])


def test_targets_listen_where_they_are_asked():
    assert [("serving", 8501), ("embedded", 8501)] == hosts(JOBS["serving"])
    assert "--rest_api_port=8501" in SERVICES["serving"]["command"]
    assert f'path: "{JOBS["serving"]["metrics_path"]}"' in (ROOT / "docker/serving/monitoring.config").read_text()
    assert "bind :8404" in (ROOT / "docker/balancer/haproxy.cfg").read_text()
    assert [("balancer", 8404)] == hosts(JOBS["balancer"])
    command = SERVICES["monitor"]["command"]
    assert f"0.0.0.0:{hosts(JOBS['monitor'])[0][1]}" == command[command.index("--prometheus") + 1]


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that runs."""

    url: str

    def get(self, path: str, **query: str) -> dict:
        return json.loads(ask(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"))

    def up(self, job: str) -> bool:
        return any(
            target["labels"]["job"] == job and target["health"] == "up"
            for target in self.get("targets")["data"]["activeTargets"]
        )

    def firing(self) -> set[str]:
        return {one["labels"]["alertname"] for one in self.get("alerts")["data"]["alerts"] if one["state"] == "firing"}

    def value(self, expression: str) -> float | None:
        found = self.get("query", query=expression)["data"]["result"]
        return float(found[0]["value"][1]) if found else None


def hurried(folder: Path, ports: dict[str, int]) -> Path:
    """The configuration with other targets and a second in place of each pause and minute; without a balancer."""
    config = json.loads(json.dumps(CONFIG))
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["scrape_configs"] = [one for one in config["scrape_configs"] if one["job_name"] in ports]
    for one in config["scrape_configs"]:
        one.pop("dns_sd_configs", None)
        one["static_configs"] = [{"targets": [f"127.0.0.1:{ports[one['job_name']]}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    rules = re.sub(r"for: \d+m", "for: 1s", (FOLDER / "alerts.yml").read_text())
    (folder / "alerts.yml").write_text(rules)
    return folder / "prometheus.yml"


@pytest.fixture
def run_prometheus(tmp_path, free_port, eventually):
    """Runs Prometheus over ports of this machine by job."""

    @contextlib.contextmanager
    def run(ports):
        port = free_port()
        command = ["prometheus", f"--config.file={hurried(tmp_path, {**ports, 'prometheus': port})}"]
        command += [f"--storage.tsdb.path={tmp_path / 'series'}", f"--web.listen-address=127.0.0.1:{port}"]
        with (tmp_path / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            eventually(lambda: b"is Ready" in ask(f"http://127.0.0.1:{port}/-/ready"))  # before, it says that it is not
            yield Prometheus(f"http://127.0.0.1:{port}")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)

    return run


@pytest.fixture
def monitor(published, keraspipe_in, tmp_path, free_port):
    """The port of `keraspipe monitor --all` on the workspace."""
    command = keraspipe_in(tmp_path / "monitor", KERASPIPE_WORKSPACE=str(published))
    port = free_port()
    process = command.start("monitor", "--all", "--watch", "1", "--prometheus", f"127.0.0.1:{port}")
    try:
        yield port
    finally:
        process.kill()
        process.communicate()


@pytest.mark.process
@needs_prometheus
def test_an_alert_fires_without_a_server_clears_when_it_is_there_and_fires_when_it_stops(
    published, monitor, run_server, run_prometheus, free_port, eventually
):
    port = free_port()
    with run_prometheus({"serving": port, "monitor": monitor}) as prometheus:
        eventually(lambda: "ServingDown" in prometheus.firing())
        assert not prometheus.up("serving")
        with run_server(published / "serving", rest_port=port) as server:
            eventually(lambda: all(map(prometheus.up, ("serving", "monitor", "prometheus"))))
            ask(f"{server.rest}/v1/models/half:predict", {"instances": [1.0]})
            eventually(lambda: prometheus.value('model:requests:rate5m{model_name="half"}') is not None)
            eventually(lambda: prometheus.value('keraspipe_champion_version{model="half"}') == 1)
            eventually(lambda: not prometheus.firing() & {"ServingDown", "NoChampion", "MonitorDown"})
            answers = [prometheus.get("query", query=one.replace("$model", ".*")) for one in EXPRESSIONS]
            assert [] == [answer for answer in answers if answer["status"] != "success"]
        eventually(lambda: "ServingDown" in prometheus.firing())
        assert not prometheus.up("serving")
