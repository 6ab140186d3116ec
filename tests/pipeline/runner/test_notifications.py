"""Notices reach a real webhook and a real command, and a deaf receiver stops nothing."""

from __future__ import annotations

import json
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from pipeline.runner import notifications
from pipeline.runs.run import RunResult


@pytest.fixture
def webhook():
    """A server that keeps what it receives, and answers with `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.received.append((self.headers["Content-Type"], json.loads(body)))
            self.send_response(server.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.received, server.status = [], 200
    thread = Thread(target=server.serve_forever)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhook_gets_the_verdict(webhook):
    result = RunResult("plain-1", "plain", blessed=False, metrics={"accuracy": 0.5}, reasons=["accuracy is 0.5"])
    assert "" == notifications.send(webhook.url, notifications.verdict_message(result))
    ((kind, received),) = webhook.received
    assert "application/json" == kind
    assert ("verdict", "plain-1", False, {"accuracy": 0.5}) == tuple(
        received[name] for name in ("event", "run_id", "blessed", "metrics")
    )
    assert "plain: not blessed; accuracy 0.5000\n- accuracy is 0.5" == received["text"]


@pytest.mark.process
def test_a_command_gets_the_failure(tmp_path):
    out = tmp_path / "received.json"
    script = "import shutil, sys; shutil.copyfileobj(sys.stdin, open(sys.argv[1], 'w'))"
    command = f'{sys.executable} -c "{script}" {out}'
    assert "" == notifications.send(command, notifications.failure_message("plain", "plain-1", ValueError("no room")))
    received = json.loads(out.read_text())
    assert ("failure", "no room") == (received["event"], received["message"])


def test_without_a_receiver_nothing_is_sent():
    assert "" == notifications.send("", {})


@pytest.mark.process
@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("http://me:secret@127.0.0.1:1/secret", "http://127.0.0.1:1"),
        ("no-such-command --key secret", "no-such-command"),
        ("false", "false"),
        ("'unclosed", "'unclosed"),
        ("http://[", "http://["),
    ],
)
def test_a_deaf_receiver_is_said_without_secrets(target, shown):
    problem = notifications.send(target, {"text": "x"})
    assert problem.startswith(f"{shown} was not notified: ")
    assert "secret" not in problem


def test_a_refusing_receiver_is_said(webhook):
    webhook.status = 500
    assert "500" in notifications.send(webhook.url, {"text": "x"})


def test_an_answer_that_is_no_http_is_a_sentence():
    """http.client's errors are not OSErrors."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert "was not notified" in notifications.send(url, {"text": "done"})
        thread.join()
