"""A disk that takes no more of the request log: requests are answered, and the metric says what became of the log."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

PAGE = b"GET /monitoring/prometheus/metrics HTTP/1.1\r\n\r\n"


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("Only root mounts a small disk")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=256k", "none", str(place)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"No small disk can be mounted: {made.stderr.decode()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def _counts(server, exchange):
    page = exchange(server, PAGE).decode()
    found = re.findall(r'request_log_count\{model_name="echo",status_code="(\w+)"\} (\d+)', page)
    return {code: int(count) for code, count in found}


def _run(saved, base, folder, run_server):
    shutil.copytree(saved / "echo", base / "echo" / "7")
    config = base / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "echo" base_path: "{base}/echo" model_platform: "tensorflow" '
        f'logging_config {{ log_collector_config {{ type: "tfrecord" filename_prefix: "{folder}" }} '
        "sampling_config { sampling_rate: 1.0 } } } }"
    )
    return run_server(base, base_path=None, model_config_file=str(config))


def test_a_full_disk(saved, tmp_path, small_disk, run_server, exchange, wait_for, complained):
    values = b"1.5, " * 5000 + b"1.5"
    body = b'{"instances": [%s]}' % values
    asked = b"POST /v1/models/echo:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with _run(saved, tmp_path / "base", small_disk, run_server) as server:
        for _ in range(40):  # 40 KB of log each
            assert exchange(server, asked).startswith(b"HTTP/1.1 200 OK")
        counts = wait_for(lambda: sum(_counts(server, exchange).values()) == 40 and _counts(server, exchange))
        assert {"OK", "RESOURCE_EXHAUSTED"} == set(counts)
        assert [] == complained(server)
        assert 0 == server.terminate()
    assert counts["OK"] < 10
