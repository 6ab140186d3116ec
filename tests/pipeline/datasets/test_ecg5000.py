"""Heartbeats: who learns, who tests, and lines that are no beats."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.datasets.ecg5000 import Ecg5000
from pipeline.errors import PipelineError


def line(kind, value=0.5, samples=140):
    return ",".join([str(value)] * samples + [str(kind)])


@pytest.fixture
def beats(tmp_path):
    def write(*lines, fold=4):
        (tmp_path / "beats.arff").write_text("\n".join(lines) + "\n")
        return list(Ecg5000("beats.arff", fold).examples(tmp_path))

    return write


def test_anomalies_are_tests_and_so_is_every_fifth_normal_beat(beats):
    lines = [line(kind, value) for value, kind in enumerate([1, 2, 1, 1, 3, 1, 1, 5, 1])]
    found = beats(*lines)
    assert [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0] == [row.features["is_anomaly"] for row in found]
    assert [(float(value),) * 140 for value in range(9)] == [row.features["beat"] for row in found]
    assert ["train", "test", "train", "train", "test", "train", "test", "test", "train"] == [row.split for row in found]


def test_folds_test_every_normal_beat_once(beats):
    lines = [line(1, value) for value in range(13)]
    tested = Counter(
        row.features["beat"][0] for fold in range(5) for row in beats(*lines, fold=fold) if row.split == "test"
    )
    assert {float(value): 1 for value in range(13)} == tested


def test_header_and_empty_lines_are_passed_over(beats):
    found = beats("% words", "@relation ECG5000", "@data", "", line(1))
    assert [""] == [row.fault for row in found]
    assert found[0].source.endswith("beats.arff line 5")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (line(1, samples=139), "139 samples of kind 1, expected 140 of kind 1 to 5"),
        (line(6), "140 samples of kind 6, expected 140 of kind 1 to 5"),
        (line("nan"), "140 samples of kind nan, expected 140 of kind 1 to 5"),
        (line(1, "?"), "not numbers separated by commas: could not convert string to float: '?'"),
        (line(1, "inf"), "a sample is not finite"),
    ],
)
def test_no_beat_carries_its_fault_and_counts_for_nobody(beats, text, fault):
    found = beats(line(1), line(1), line(1), text, line(1), line(1))
    assert ["", "", "", fault, "", ""] == [row.fault for row in found]
    assert "test" == found[5].split


def test_no_file(tmp_path):
    with pytest.raises(PipelineError, match=r"download it from http://www\.timeseriesclassification\.com"):
        Ecg5000().files(tmp_path)
