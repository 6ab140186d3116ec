"""The balancer's configuration in a real HAProxy: what a replica that dies costs."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

from pipeline.settings import ROOT

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not shutil.which("haproxy"), reason="HAProxy is not installed here"),
]

CONFIG = ROOT / "docker/balancer/haproxy.cfg"
HEAD = b"POST /v1/models/half:predict HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\n"


def serve(answer):
    """A server on a free port that hands each connection to a function; the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def die(connection):
    """As a server that is killed while the request arrives."""
    with connection:
        connection.recv(100)


def live(connection):
    with connection:
        received = b""
        while not received.endswith(b"hello"):
            received += connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def rest_part(ports, port):
    """The configuration's global, defaults and REST sections, with servers by port and no health checks."""
    sections = re.split(r"\n(?=[a-z])", CONFIG.read_text())
    kept = [part for part in sections if re.match(r"#|global|defaults|(frontend|backend) rest", part)]
    text = "\n".join(kept).replace("bind :8501", f"bind 127.0.0.1:{port}")
    text = re.sub(r"\n.*(default-server|httpchk|http-check|is_openai).*", "", text)
    servers = "\n".join(f"    server s{number} 127.0.0.1:{number}" for number in ports)
    return re.sub(r"(\n    server-template.*)+", "\n" + servers, text) + "\n"


@contextlib.contextmanager
def balancing(folder, ports):
    """The port of HAProxy in front of servers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = folder / "haproxy.cfg"
    file.write_text(rest_part(ports, port))
    with subprocess.Popen(["haproxy", "-f", str(file)], stderr=subprocess.DEVNULL) as process:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield port
        process.kill()


def ask(port):
    """The status of a request whose body comes after its head."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(HEAD)
        time.sleep(0.05)
        client.sendall(b"hello")
        return client.recv(1000).split()[1]


def test_a_request_whose_server_dies_is_sent_again_also_when_its_body_comes_after_its_head(tmp_path):
    with balancing(tmp_path, [serve(die), serve(live)]) as port:
        assert [b"200"] * 6 == [ask(port) for _ in range(6)]


def test_a_request_that_ends_servers_reaches_two_of_them(tmp_path):
    reached = []

    def answer(connection):
        reached.append(connection)
        die(connection)

    with balancing(tmp_path, [serve(answer) for _ in range(4)]) as port:
        reached.clear()  # of waiting for HAProxy
        assert b"502" == ask(port)
    assert 2 == len(reached)
