"""Requests that the real server logged, beside the data that the real model has learnt from."""

from __future__ import annotations

import io
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.datasets.digits import Digits
from pipeline.monitoring.monitor import compare_requests
from pipeline.store.layout import Workspace
from serving.client.client import Client

pytestmark = pytest.mark.xdist_group("digits")
COUNT = 120


@pytest.fixture
def logged(digits, tmp_path):
    """Asks the server for the digits of images, over REST and gRPC by turns, and returns its log."""

    def ask(images: list[bytes]) -> Path:
        log = tmp_path / "log"
        options = ("--rest-port", "0", "--grpc-port", "0", "--request-log", log, "--request-log-rate", "1")
        process = digits.keraspipe.fork("serve", "digits", *options)
        lines = [process.stdout.readline() for _ in range(3)]
        addresses = [lines[1].split()[1].partition("/v1")[0], lines[2].split()[1]]
        for turn, address in enumerate(addresses):
            with Client(address) as client:
                for image in images[turn :: len(addresses)]:
                    client.predict("digits", {"image_bytes": np.array([image], object)})
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        return log

    return ask


def scans() -> list[bytes]:
    rows = [example.features["image_bytes"] for example in Digits().examples(Path())]
    return [rows[i] for i in np.random.default_rng(0).choice(len(rows), COUNT, replace=False)]


def inverted(image: bytes) -> bytes:
    buffer = io.BytesIO()
    ImageOps.invert(Image.open(io.BytesIO(image))).save(buffer, "png")
    return buffer.getvalue()


def test_requests_like_the_training_data_are_quiet(digits, logged):
    report = compare_requests(Workspace(digits.workspace), "digits", logged(scans()))
    assert ("quiet", COUNT, []) == (report.status, report.rows, report.lines)


def test_inverted_images_are_drift(digits, logged):
    report = compare_requests(Workspace(digits.workspace), "digits", logged([inverted(image) for image in scans()]))
    assert ("drift", COUNT) == (report.status, report.rows)
    assert "image_bytes.brightness" in {finding.key for finding in report.alert_findings}


@pytest.mark.slow
def test_before_training_new_data_are_compared_with_the_last_blessed_ones(squares):
    first = squares.run()
    assert [] == first["drift"]
    for path in squares.data.rglob("*.png"):
        ImageOps.invert(Image.open(path)).point(lambda value: value // 2).save(path)
    answer = squares("run", "squares", "--until", "ingest")
    assert 0 == answer.code, answer.err
    assert "Warning: the data have drifted from the champion's:" in answer.out
    assert "image_bytes.brightness: drift. Jensen-Shannon" in answer.out
    runs = squares.keraspipe.workspace / "runs"
    assert 1 == len(list(runs.glob("*/drift.html")))
