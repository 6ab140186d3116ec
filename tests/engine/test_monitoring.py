"""The profile `monitoring`: targets are up, an alert fires and clears."""

import pytest

TARGETS = {"serving", "balancer", "monitor", "prometheus"}


@pytest.fixture(scope="module")
def monitored(stack, published):
    stack.compose("--profile", "monitoring", "up", "--detach", "--wait", "prometheus", "grafana", "monitor")
    yield stack
    stack.compose("--profile", "monitoring", "rm", "--force", "--stop", "prometheus", "grafana", "monitor")


def firing(stack) -> set[str]:
    alerts = stack.get("PROMETHEUS_PORT", "/api/v1/alerts")["data"]["alerts"]
    return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}


def up(stack) -> set[str]:
    targets = stack.get("PROMETHEUS_PORT", "/api/v1/targets")["data"]["activeTargets"]
    return {target["labels"]["job"] for target in targets if target["health"] == "up"}


def value(stack, query: str) -> float:
    result = stack.get("PROMETHEUS_PORT", f"/api/v1/query?query={query}")["data"]["result"]
    return float(result[0]["value"][1]) if result else 0


@pytest.mark.parametrize(
    "words",
    [("check", "config", "prometheus.yml"), ("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")],
)
def test_promtool_accepts_the_configuration_and_its_rules_behave(monitored, words):
    promtool = ("exec", "-T", "-e", "TMPDIR=/prometheus", "-w", "/etc/prometheus", "prometheus", "promtool")
    assert "SUCCESS" in monitored.compose(*promtool, *words)


def test_all_targets_are_up(monitored, wait_for):
    wait_for(lambda: up(monitored) == TARGETS, f"the targets {TARGETS}")


def test_the_champion_is_seen(monitored, wait_for):
    wait_for(lambda: value(monitored, 'keraspipe_champion_version{model="digits"}') >= 1, "the champion's version")


def test_grafana_answers(monitored):
    assert "ok" == monitored.get("GRAFANA_PORT", "/api/health")["database"]


def test_an_alert_fires_while_no_server_runs_and_clears_after(monitored, wait_for):
    wait_for(lambda: "ServingDown" not in firing(monitored), "silence before")
    monitored.compose("stop", "serving")
    try:
        wait_for(lambda: "ServingDown" in firing(monitored), "the alert")
    finally:
        monitored.compose("up", "--detach", "--wait", "serving")  # the balancer is healthy a moment later
    wait_for(lambda: "ServingDown" not in firing(monitored), "the alert to clear")
