"""Our own pages over a real socket: health, readiness, models, OpenAPI. Needs the server to answer `pages`."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

import pytest


@pytest.fixture(scope="module")
def ask(server):
    connection = http.client.HTTPConnection(server.rest.removeprefix("http://"), timeout=60)

    def send(method, path, body=None):
        connection.request(method, path, None if body is None else json.dumps(body))
        reply = connection.getresponse()
        content = reply.read()
        return reply.status, reply.getheader("Content-Type"), content

    yield send
    connection.close()


def test_healthy_and_ready(ask):
    assert (200, "application/json", {"status": "ok"}) == (*(found := ask("GET", "/healthz"))[:2], json.loads(found[2]))
    status, _, content = ask("GET", "/readyz")
    assert (200, {"status": "ready", "missing": {}}) == (status, json.loads(content))


def test_every_url_in_the_list_of_models_works(ask):
    listed = json.loads(ask("GET", "/models")[2])
    assert ["echo", "half"] == [model["name"] for model in listed]
    assert {"AVAILABLE"} == {version["state"] for model in listed for version in model["versions"]}
    for model in listed:
        for kind, url in model["urls"].items():
            if kind != "predict":
                assert 200 == ask("GET", urlsplit(url).path)[0], url


@pytest.mark.parametrize("name", ["half", "echo"])
def test_every_example_of_the_document_is_answered(ask, name):
    whole = json.loads(ask("GET", f"/models/{name}/openapi.json")[2])
    examples = whole["components"]["requestBodies"]["predict"]["content"]["application/json"]["examples"]
    assert len(examples) >= 2
    for title, example in examples.items():
        status, _, content = ask("POST", f"/v1/models/{name}:predict", example["value"])
        assert (title, 200) == (title, status), content


def test_the_document_names_this_server(ask, server):
    whole = json.loads(ask("GET", "/models/half/openapi.json")[2])
    assert [{"url": server.rest}] == whole["servers"]


def test_a_page_may_only_be_read(ask):
    assert 405 == ask("POST", "/healthz", {})[0]
