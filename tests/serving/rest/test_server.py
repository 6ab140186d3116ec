"""The REST API over a real socket."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import threading

import pytest


@pytest.fixture
def ask(server):
    host, port = server.rest.removeprefix("http://").split(":")

    def send(method, path, body=b"", headers=None):
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        body = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        content = reply.read()
        connection.close()
        return reply.status, content, dict(reply.getheaders())

    return send


@pytest.fixture
def raw(server):
    host, port = server.rest.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        yield connection


def _read_answers(connection, count):
    data = b""
    while data.count(b"HTTP/1.1 ") < count or not data.rstrip().endswith(b"}"):
        part = connection.recv(65536)
        if not part:
            break
        data += part
    return data


def _error(content):
    return json.loads(content)["error"]


def test_rows(ask):
    status, content, headers = ask("POST", "/v1/models/half:predict", {"instances": [2.0, 3.0]})
    assert (200, b'{\n    "predictions": [4.0, 4.5\n    ]\n}') == (status, content)
    assert "application/json" == headers["Content-Type"]


def test_columns_of_several_outputs(ask):
    text = [{"b64": "aGk="}, "you"]
    body = {"signature_name": "pair", "inputs": {"number": [[1, 2], [3, 4.5]], "text": text}}
    status, content, _ = ask("POST", "/v1/models/echo:predict", body)
    raw_bytes = [{"b64": "aGk="}, {"b64": "eW91"}]
    assert 200 == status
    assert {"sum": [3.0, 7.5], "text": ["hi", "you"], "raw_bytes": raw_bytes} == json.loads(content)["outputs"]


def test_rows_of_several_inputs(ask):
    rows = [{"number": [1, 2], "text": "a"}, {"number": [3, 4], "text": "b"}]
    _, content, _ = ask("POST", "/v1/models/echo:predict", {"signature_name": "pair", "instances": rows})
    assert [3.0, 7.0] == [row["sum"] for row in json.loads(content)["predictions"]]


@pytest.mark.parametrize("value", [5.0, [1.0], [[1.0, 2.0], [3.0, 4.0]], []])
def test_shapes_are_the_graphs_own_business(ask, value):
    status, content, _ = ask("POST", "/v1/models/echo:predict", {"inputs": value})
    assert (200, value) == (status, json.loads(content)["outputs"])


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/v1/models/nope:predict", {"instances": [1]}, 404, "Servable not found for request: Latest(nope)"),
        ("/v1/models/half/versions/9:predict", {}, 404, "Servable not found for request: Specific(half, 9)"),
        ("/v1/models/half/labels/x:predict", {}, 400, "Unrecognized servable version label: x"),
        ("/v1/models/half:predict", b"", 400, "JSON Parse error: The document is empty"),
        ("/v1/models/half:predict", [1.0], 400, "JSON Value: [1.0] Is not object"),
        ("/v1/models/half:predict?a=1", {}, 400, "Malformed request: POST /v1/models/half:predict?a=1"),
        ("/v1/models/half:PREDICT", {}, 400, "Malformed request: POST /v1/models/half:PREDICT"),
        (
            "/v1/models/half:predict",
            {"signature_name": "s"},
            400,
            'Serving signature name: "s" not found in signature def',
        ),
        (
            "/v1/models/half:predict",
            {"instances": ["a"]},
            400,
            (
                "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
                'JSON Value: "a" Type: String is not of expected type: float'
            ),
        ),
        (
            "/v1/models/echo:predict",
            {"signature_name": "float16", "inputs": [1.0]},
            501,
            "Conversion of JSON Value: 1.0 to type: half",
        ),
        ("/v1/models/half/versions/9223372036854775808:predict", {}, 400, "Failed to convert version: "),
    ],
)
def test_errors(ask, path, body, status, text):
    answered, content, headers = ask("POST", path, body)
    assert (status, "application/json") == (answered, headers["Content-Type"])
    assert _error(content).startswith(text)


def test_an_error_of_the_graph(ask):
    body = {"signature_name": "matrix", "inputs": [[1.0, 2.0, 3.0]]}
    status, content, _ = ask("POST", "/v1/models/echo:predict", body)
    assert 400 == status
    assert "Matrix size-incompatible" in _error(content)


def test_other_paths_and_methods(ask):
    assert 404 == ask("GET", "/")[0]
    assert (400, "Malformed request: DELETE /v1/models/half") == (
        (reply := ask("DELETE", "/v1/models/half"))[0],
        _error(reply[1]),
    )
    assert "Missing model name in request." == _error(ask("GET", "/v1/models")[1])


def test_status(ask):
    _, content, _ = ask("GET", "/v1/models/half")
    [entry] = json.loads(content)["model_version_status"]
    assert {
        "version": "2",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    } == entry
    assert content.startswith(b'{\n "model_version_status": [\n  {\n   "version": "2",')
    missing, content, _ = ask("GET", "/v1/models/half/versions/1")
    assert (404, "Could not find version 1 of model half") == (missing, _error(content))


def test_metadata(ask):
    _, content, _ = ask("GET", "/v1/models/half/metadata")
    answer = json.loads(content)
    assert {"name": "half", "signature_name": "", "version": "2"} == answer["model_spec"]
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert "DT_FLOAT" == signature["inputs"]["x"]["dtype"]


def test_classify_and_regress(ask):
    examples = [{"x": 2.0}, {"x": 4.0}]
    _, content, _ = ask("POST", "/v1/models/half:classify", {"signature_name": "classify", "examples": examples})
    assert {"results": [[["4.0", 4.0]], [["5.0", 5.0]]]} == json.loads(content)
    body = {"signature_name": "regress", "context": {"x": 6.0}, "examples": [{}, {"x": 2.0}]}
    _, content, _ = ask("POST", "/v1/models/half:regress", body)
    assert b'{\n    "results": [6.0, 4.0]\n}' == content


def test_gzip(ask):
    body = gzip.compress(b'{"instances": [2.0]}')
    assert 200 == ask("POST", "/v1/models/half:predict", body, {"Content-Encoding": "gzip"})[0]
    status, content, _ = ask("POST", "/v1/models/half:predict", body[:9], {"Content-Encoding": "gzip"})
    assert (400, "JSON Parse error: The document is empty") == (status, _error(content))


def test_preflight(ask):
    assert (
        200,
        b"",
    ) == ask("OPTIONS", "/v1/models/half:predict", headers={"Origin": "https://a.example"})[:2]
    assert (400, b"") == ask("OPTIONS", "/v1/models/half:predict")[:2]


def test_preflight_of_a_client_of_openai(ask):
    asked = {"Access-Control-Request-Headers": "authorization,content-type,x-stainless-os,X-Stainless-Lang,x-other"}
    headers = ask("OPTIONS", "/v1/chat/completions", headers={"Origin": "https://a.example", **asked})[2]
    assert "x-stainless-lang, x-stainless-os" == headers["Access-Control-Allow-Headers"]


def test_pipelined_requests_are_answered_in_order(raw):
    requests = b""
    for number in range(40):
        body = b'{"instances": [%d]}' % number
        requests += b"POST /v1/models/echo:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (
            len(body),
            body,
        )
    raw.sendall(requests)
    answers = _read_answers(raw, 40).split(b"HTTP/1.1 200 OK")[1:]
    assert [float(number) for number in range(40)] == [
        json.loads(answer.split(b"\r\n\r\n", 1)[1])["predictions"][0] for answer in answers
    ]


def test_chunked_body_in_pieces(raw):
    head = b"POST /v1/models/half:predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    raw.sendall(head[:20])
    raw.sendall(head[20:])
    assert b"HTTP/1.1 100 Continue\r\n\r\n" == raw.recv(100)
    for part in (b'5\r\n{"ins\r\n', b'f\r\ntances": [2.0]}\r\n', b"0\r\n\r\n"):
        raw.sendall(part)
    assert b'"predictions": [4.0' in _read_answers(raw, 1)


def test_what_is_not_http_is_refused(raw):
    raw.sendall(b"\x16\x03\x01 hello\r\n\r\n")
    assert raw.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert b"" == raw.recv(1000)


def test_clients_that_hang_up_leave_the_server_well(server, ask):
    host, port = server.rest.removeprefix("http://").split(":")
    body = b'{"signature_name": "slow", "instances": [1.0]}'
    request = b"POST /v1/models/echo:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    for cut in (5, 60, len(request)):
        connection = socket.create_connection((host, int(port)))
        connection.sendall(request[:cut])
        connection.close()
    assert 200 == ask("POST", "/v1/models/half:predict", {"instances": [1.0]})[0]


def test_a_slow_request_does_not_hold_up_others(ask):
    slow = threading.Thread(
        target=ask, args=("POST", "/v1/models/echo:predict", {"signature_name": "slow", "instances": [1.0]})
    )
    slow.start()
    assert 200 == ask("POST", "/v1/models/half:predict", {"instances": [1.0]})[0]
    assert slow.is_alive()
    slow.join()


def test_large_body(ask):
    values = [float(number % 1000) for number in range(1_000_000)]
    status, content, _ = ask("POST", "/v1/models/echo:predict", {"instances": values})
    assert (200, values) == (status, json.loads(content)["predictions"])
