"""Public files: found, fetched and checked, or reported as neither there nor available."""

from __future__ import annotations

import gzip
import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.errors import PipelineError
from pipeline.formats.download import content_digest, fetch, file_digest

CONTENT = b"rows " * 500
PACKED = gzip.compress(CONTENT)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
ANSWERS = {
    "/good": (200, PACKED, len(PACKED)),
    "/wrong": (200, gzip.compress(b"other"), None),
    "/cut": (200, PACKED[:-10], None),
    "/broken-off": (200, PACKED[:30], len(PACKED)),
    "/plain": (200, CONTENT, None),
    "/corrupt": (200, PACKED[:12] + b"\xff" + PACKED[13:], None),
    "/gone": (404, b"", None),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, body, length = ANSWERS[self.path]
        self.server.asked.append(self.path)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Keeps the terminal quiet."""


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def url(server, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server.asked = []
    return lambda name: f"http://127.0.0.1:{server.server_port}/{name}"


def test_absent_file_is_fetched_and_then_there(tmp_path, url, server):
    path = tmp_path / "set" / "rows.gz"
    for _ in range(2):
        assert path == fetch(path, (url("good"),), DIGEST)
    assert PACKED == path.read_bytes()
    assert ["/good"] == server.asked
    assert ["rows.gz"] == [one.name for one in path.parent.iterdir()]


@pytest.mark.parametrize("name", [name[1:] for name in ANSWERS if name != "/good"])
def test_bad_source_never_leaves_a_file(tmp_path, url, name):
    path = tmp_path / "set" / "rows.gz"
    with pytest.raises(PipelineError, match="does not exist and could not be downloaded") as caught:
        fetch(path, (url(name),), DIGEST)
    assert url(name) in str(caught.value)
    assert [] == list(path.parent.iterdir())


@pytest.mark.parametrize("name", [name[1:] for name in ANSWERS if name != "/good"])
def test_next_source_is_asked_after_a_bad_one(tmp_path, url, server, name):
    path = fetch(tmp_path / "rows.gz", (url(name), url("good")), DIGEST)
    assert DIGEST == content_digest(path)
    assert [f"/{name}", "/good"] == server.asked


def test_wrong_content_names_both_digests(tmp_path, url):
    with pytest.raises(PipelineError) as caught:
        fetch(tmp_path / "rows.gz", (url("wrong"),), DIGEST)
    assert f"sha256 is {hashlib.sha256(b'other').hexdigest()}, expected {DIGEST}" in str(caught.value)


def test_neither_there_nor_network_says_both(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        address = f"http://127.0.0.1:{unused.getsockname()[1]}/rows.gz"
        with pytest.raises(PipelineError) as caught:
            fetch(tmp_path / "set" / "rows.gz", (address,), DIGEST)
    text = str(caught.value)
    assert "rows.gz does not exist and could not be downloaded" in text
    assert "Connection refused" in text
    assert f"Expected: {tmp_path}/set/rows.gz, or access" in text
    assert "set KERASPIPE_DATA to the folder that holds set/" in text


def test_digest_is_that_of_the_content_however_it_is_compressed(tmp_path):
    for level in (1, 9):
        (tmp_path / f"{level}.gz").write_bytes(gzip.compress(CONTENT, level))
    assert DIGEST == content_digest(tmp_path / "1.gz") == content_digest(tmp_path / "9.gz")


def test_file_that_is_no_gzip_is_checked_as_it_is(tmp_path, url):
    packed = hashlib.sha256(PACKED).hexdigest()
    path = fetch(tmp_path / "rows.zip", (url("good"),), packed, file_digest)
    assert packed == file_digest(path)
