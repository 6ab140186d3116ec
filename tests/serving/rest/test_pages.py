"""Health, readiness, the list of models and the monitoring page, without a socket."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from serving.core.models import Models
from serving.core.servable import Servable, ServableState
from serving.core.signature import Signature, TensorInfo
from serving.errors import DataLoss
from serving.rest import pages
from serving.wire import dtypes


class Model:
    """As much of a loaded model as the pages look at."""

    path, reserved = Path("/nowhere"), frozenset()
    tensor = TensorInfo("x:0", dtypes.from_number(1), (-1,))
    signatures = {  # noqa: RUF012 - as LoadedModel has them
        "serving_default": Signature("serving_default", "", {"x": tensor}, {"y": tensor}, {})
    }

    def close(self):
        pass


@dataclass
class Server:
    models: Models = field(default_factory=Models)
    names: tuple = ()
    draining: bool = False
    monitoring_path: str | None = "/monitoring/prometheus/metrics"
    url: str = "http://127.0.0.1:8501"

    def model_names(self):
        return self.names

    def metrics(self):
        return b"# TYPE x counter\n"

    def get(self, path, method="GET"):
        return pages.answer_page(method, path, self)

    def add(self, name, version, state=ServableState.AVAILABLE):
        servable = Servable(name, version, Path("/models") / name / str(version))
        if state is ServableState.AVAILABLE:
            servable.publish(Model())
        servable.state = state
        self.models.add(servable)
        return servable


@pytest.fixture
def server():
    return Server()


def test_health(server):
    reply = server.get("/healthz")
    assert (200, {"status": "ok"}, "application/json") == (reply.status, json.loads(reply.body), reply.content_type)
    assert 200 == server.get("/healthz?probe=1").status
    assert 200 == server.get("/healthz", "HEAD").status


@pytest.mark.parametrize(
    "path",
    ["/", "/v1/models/m", "/healthz/", "/models/", "/models/m", "/models//openapi.json", "/models/a/b/openapi.json"],
)
def test_other_paths_are_not_ours(server, path):
    assert server.get(path) is None


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/models", "/models/m/openapi.json"])
def test_only_reading(server, path):
    reply = server.get(path, "POST")
    assert (405, "Allow: GET, HEAD\r\n") == (reply.status, reply.headers)
    assert f"Malformed request: POST {path}" == json.loads(reply.body)["error"]


def test_ready_when_every_wanted_model_is_served(server):
    server.names = ("a", "b", "c", "d")
    server.add("a", 1)
    server.add("b", 1)
    server.add("b", 2, ServableState.LOADING)
    server.add("c", 4, ServableState.LOADING)
    server.add("d", 5).fail(DataLoss("broken file"))
    reply = server.get("/readyz")
    missing = {"c": "version 4 is in state LOADING", "d": "version 5 is in state END: broken file"}
    assert (503, {"status": "loading", "missing": missing}) == (reply.status, json.loads(reply.body))
    server.add("c", 4)
    server.add("d", 5)
    reply = server.get("/readyz")
    assert (200, {"status": "ready", "missing": {}}) == (reply.status, json.loads(reply.body))


def test_a_model_without_versions_is_missing(server):
    server.names = ("none",)
    assert {"none": "no version found"} == json.loads(server.get("/readyz").body)["missing"]


def test_not_ready_while_draining(server):
    server.draining = True
    reply = server.get("/readyz")
    assert (503, "draining") == (reply.status, json.loads(reply.body)["status"])
    assert 200 == server.get("/healthz").status


def test_the_list_of_models(server):
    server.add("a/b", 1)
    server.add("a/b", 2)
    server.add("z", 3).fail(DataLoss("broken file"))
    server.models.relabel({"a/b": {"stable": 1, "canary": 2}})
    first, last = json.loads(server.get("/models").body)
    assert [
        {"version": 2, "state": "AVAILABLE", "labels": ["canary"]},
        {"version": 1, "state": "AVAILABLE", "labels": ["stable"]},
    ] == first["versions"]
    assert ("a/b", {"stable": 1, "canary": 2}, ["serving_default"]) == (
        first["name"],
        first["labels"],
        first["signatures"],
    )
    assert {
        "status": "http://127.0.0.1:8501/v1/models/a%2Fb",
        "metadata": "http://127.0.0.1:8501/v1/models/a%2Fb/metadata",
        "predict": "http://127.0.0.1:8501/v1/models/a%2Fb:predict",
        "openapi": "http://127.0.0.1:8501/models/a%2Fb/openapi.json",
    } == first["urls"]
    assert [{"version": 3, "state": "END", "labels": [], "error": "broken file"}] == last["versions"]
    assert [] == last["signatures"]


def test_a_models_document(server):
    server.add("a/b", 1)
    server.add("a/b", 2)
    reply = server.get("/models/a%2Fb/openapi.json")
    whole = json.loads(reply.body)
    assert (200, "3.1.0", "2") == (reply.status, whole["openapi"], whole["info"]["version"])
    assert "/v1/models/a%2Fb:predict" in whole["paths"]


def test_no_document_of_what_is_not_served(server):
    reply = server.get("/models/x/openapi.json")
    assert (404, "Servable not found for request: Latest(x)") == (reply.status, json.loads(reply.body)["error"])


def test_the_document_gives_its_lease_back(server):
    servable = server.add("m", 1)
    server.get("/models/m/openapi.json")
    server.get("/models")
    servable.retire()
    assert ServableState.END is servable.state


def test_the_monitoring_page_is_at_its_exact_path(server):
    reply = server.get("/monitoring/prometheus/metrics")
    assert (200, b"# TYPE x counter\n", "text/plain") == (reply.status, reply.body, reply.content_type)
    assert server.get("/monitoring/prometheus/metrics?x") is None
    server.monitoring_path = "/v1/models/odd"  # before the API, as upstream
    assert 200 == server.get("/v1/models/odd").status
    server.monitoring_path = None
    assert server.get("/monitoring/prometheus/metrics") is None
