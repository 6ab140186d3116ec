"""What monitoring watches, on real sockets: the embedded server over a small model."""

from __future__ import annotations

import contextlib
import json
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pipeline.monitoring import prometheus
from pipeline.monitoring.drift import Finding
from pipeline.monitoring.monitor import ModelHealth
from pipeline.monitoring.report import Report
from pipeline.store import champions
from pipeline.store.layout import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
RULES = yaml.safe_load((ROOT / "docker/prometheus/alerts.yml").read_text())


def ask(url: str, body: Any = None) -> bytes:
    """The answer to GET, or to POST of JSON; also where it is an error's."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=60) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        return error.read()


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], Any]], Any]:
    """Waits until a condition holds; the server may be away meanwhile."""

    def wait(condition: Callable[[], Any], timeout_s: float = 300.0) -> Any:
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                if found := condition():
                    return found
            time.sleep(0.1)
        return pytest.fail("The condition did not come true in time")

    return wait


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds a port of this machine that nobody has."""

    def find() -> int:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            return holder.getsockname()[1]

    return find


@pytest.fixture(scope="session")
def published(tmp_path_factory) -> Path:
    """A workspace in which version 1 of `half` is live."""
    import tensorflow as tf

    workspace = tmp_path_factory.mktemp("monitored") / "workspace"
    module = tf.Module()
    module.halve = tf.function(lambda x: {"y": x / 2}, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    tf.saved_model.save(module, str(Workspace(workspace).model("half", 1)), {"serving_default": module.halve})
    champions.set_champion(Workspace(workspace), "half", champions.ModelVersion(1, "digest", "run"))
    return workspace


@pytest.fixture(scope="session")
def exported(published, run_server) -> set[str]:
    """Names of all metrics that the embedded server, the rules and the monitor give."""
    with run_server(published / "serving") as server:
        for instances in ([1.0], "x"):
            ask(f"{server.rest}/v1/models/half:predict", {"instances": instances})
        pages = [ask(f"{server.rest}/monitoring/prometheus/metrics").decode(), monitor_page()]
    lines = [line for page in pages for line in page.splitlines() if not line.startswith("#")]
    return {line.partition(" ")[0].partition("{")[0] for line in lines} | recorded()


def recorded() -> set[str]:
    """Names of the recording rules."""
    return {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}


def monitor_page() -> str:
    """The monitor's page where there is one feature."""
    finding = Finding("x", "x", "drift", "L-infinity", 0.5, 0.01, 0.05, 100, 100, ())
    return prometheus.render_text(
        [ModelHealth.from_report(Report("half", "training rows", "requests", 100, (finding,), version=1))]
    )
