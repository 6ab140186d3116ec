"""Drift that is put into logged requests is found; undisturbed requests raise nothing."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from pipeline.datasets.digits import Digits

TIMES = 20


def halves(rows, seed=0):
    """Rows to learn from and rows to ask with, both of chance."""
    order = np.random.default_rng(seed).permutation(len(rows))
    return [rows[i] for i in order[len(rows) // 2 :]], [rows[i] for i in order[: len(rows) // 2]]


def scans():
    from pathlib import Path

    return [example.features for example in Digits().examples(Path())]


def fares(count, seed=0):
    """A table: a number that is missing at times, a count, a category, and one that is rarely new."""
    random = np.random.default_rng(seed)
    return [
        {
            "miles": float(random.lognormal()) if random.random() > 0.05 else None,
            "hour": int(random.choice(24, p=[0.02] * 8 + [0.0525] * 16)),
            "company": b"company %d" % min(random.geometric(0.3), 12),
            "fare": float(random.normal(10, 3)),
        }
        for _ in range(count)
    ]


def reviews(count, seed=0, words=2000):
    """Texts over a vocabulary whose words are as frequent as in a language."""
    random = np.random.default_rng(seed)
    shares = 1 / np.arange(1, words + 1)
    names = np.array([f"w{i}" for i in range(words)])
    return [
        {
            "text": " ".join(random.choice(names, random.integers(10, 60), p=shares / shares.sum())).encode(),
            "label": b"a",
        }
        for _ in range(count)
    ]


TABLE = ("miles", "hour", "company")


@pytest.fixture
def digits(live):
    known, asked = halves(scans())
    return live(known, ("image_bytes",), "digits"), asked


@pytest.fixture
def taxi(live):
    return live(fares(3000), TABLE, "taxi"), fares(600, seed=1)


@pytest.fixture
def films(live):
    return live(reviews(1000), ("text",), "films"), reviews(300, seed=1)


@pytest.mark.heavy
@pytest.mark.parametrize("case", ["digits", "taxi", "films"])
def test_undisturbed_requests_raise_nothing(case, request, tmp_path):
    model, asked = request.getfixturevalue(case)
    for turn in range(TIMES):
        chosen = np.random.default_rng(turn).choice(len(asked), 200, replace=False)
        log = model.send([asked[i] for i in chosen], tmp_path / f"log {turn}")
        report = model.monitored(log)
        assert ("quiet", []) == (report.status, report.lines)


def test_inverted_images_are_found(digits):
    model, asked = digits

    def inverted(row):
        buffer = io.BytesIO()
        ImageOps.invert(Image.open(io.BytesIO(row["image_bytes"]))).save(buffer, "png")
        return {"image_bytes": buffer.getvalue()}

    model.send([inverted(row) for row in asked[:60]])
    report = model.monitored()
    assert "drift" == report.status
    assert "image_bytes.brightness" == report.alert_findings[0].key


def test_mirrored_images_are_found_although_they_are_as_bright(digits):
    model, asked = digits

    def mirrored(row):
        buffer = io.BytesIO()
        ImageOps.mirror(Image.open(io.BytesIO(row["image_bytes"]))).save(buffer, "png")
        return {"image_bytes": buffer.getvalue()}

    model.send([mirrored(row) for row in asked])
    keys = {finding.key for finding in model.monitored().alert_findings}
    assert keys
    assert all(key.startswith("image_bytes.component") for key in keys)


def test_images_of_another_size_and_format_are_found(digits):
    model, asked = digits

    def large(row):
        buffer = io.BytesIO()
        Image.open(io.BytesIO(row["image_bytes"])).resize((16, 16)).convert("RGB").save(buffer, "jpeg")
        return {"image_bytes": buffer.getvalue()}

    model.send([large(row) for row in asked[:60]])
    found = {(one.key, one.check) for one in model.monitored().alert_findings}
    assert {("image_bytes.width", "drift"), ("image_bytes.height", "drift")} < found
    assert ("image_bytes.format", "unseen values") in found


@pytest.mark.parametrize(
    ("change", "key", "check"),
    [
        (lambda row: {**row, "miles": row["miles"] and row["miles"] * 1.609}, "miles", "drift"),
        (lambda row: {**row, "hour": (row["hour"] + 8) % 24}, "hour", "drift"),
        (lambda row: {**row, "company": row["company"].upper()}, "company", "unseen values"),
        (lambda row: {**row, "company": b"" if row["miles"] else row["company"]}, "company", "missing"),
        (lambda row: {**row, "miles": None if row["hour"] < 12 else row["miles"]}, "miles", "missing"),
        (lambda row: {**row, "miles": row["miles"] and -row["miles"]}, "miles", "out of range"),
    ],
    ids=["kilometres", "time zone", "capitals", "empty", "gap", "sign"],
)
def test_a_spoiled_column_is_found_and_only_that(change, key, check, taxi):
    model, asked = taxi
    model.send([change({**row, "miles": row["miles"] or float("nan")}) for row in asked])
    raised = model.monitored().alert_findings
    assert (key, check) in {(one.key, one.check) for one in raised}
    assert {key} == {one.feature for one in raised}


def test_another_vocabulary_is_found(films):
    model, asked = films
    model.send([{"text": row["text"].replace(b"w", b"v")} for row in asked[:100]])
    assert {"text.vocabulary", "text.unknown words"} == {one.key for one in model.monitored().alert_findings}


def test_shorter_texts_are_found(films):
    model, asked = films
    model.send([{"text": b" ".join(row["text"].split()[:8])} for row in asked[:100]])
    assert "text.words" in {one.key for one in model.monitored().alert_findings}


def test_an_input_that_is_never_sent_is_an_alert(taxi):
    model, asked = taxi
    model.send([{name: row[name] for name in ("hour", "company")} for row in asked])
    report = model.monitored()
    assert ("drift", "miles is in no request") == (report.status, report.alerts[0])


def test_few_requests_are_no_alert(taxi):
    model, _ = taxi
    model.send([{"miles": 1e6, "hour": 99, "company": b"?"}] * 29)
    report = model.monitored()
    assert ("too few rows", 29, []) == (report.status, report.rows, report.alert_findings)


def test_what_is_allowed_raises_nothing(taxi):
    model, asked = taxi
    model.send([{**row, "miles": row["miles"] and row["miles"] * 1.609} for row in asked])
    assert "drift" == model.monitored(allowed={"miles": 0.001}).status
    assert "quiet" == model.monitored(allowed={"miles": 0.5}).status
