"""What the program of the attacks calls a fault; and, of some attacks, that there is none."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.hostile.attackers import ATTACKS
from benchmarks.hostile.watch import Measurement
from benchmarks.serving_attacks import choose, find_faults

ROOT = Path(__file__).resolve().parents[2]
CALM = Measurement(peak_mb=500.0, predict_ms=1.0, health_ms=1.0, failed=0, cores=0.1)


@pytest.mark.parametrize(
    ("change", "died", "expected"),
    [
        ({}, 0, []),
        ({"predict_ms": 1e6, "health_ms": 1e6, "peak_mb": 600.0}, 0, []),
        ({}, 2, ["2 of the server's processes died"]),
        ({"failed": 3}, 0, ["other clients saw 3 errors"]),
        ({"peak_mb": 620.0}, 0, ["memory rose by 120 MiB, at most 100 MiB are allowed"]),
    ],
)
def test_deaths_errors_and_memory_are_faults_and_times_are_not(change, died, expected):
    turns = [(CALM, CALM, CALM), (CALM, replace(CALM, **change), CALM)]
    assert expected == find_faults(turns, died, 100.0)


def test_attacks_are_chosen_by_the_beginning_of_their_names():
    assert list(ATTACKS) == choose(Namespace(names=[], mutations=0))
    assert ["JPEG XL, 11 bytes", "JPEG XL, slow"] == choose(Namespace(names=["JPEG XL"], mutations=0))
    assert ["5 mutations"] == choose(Namespace(names=[], mutations=5))
    with pytest.raises(ValueError, match="no attack is called JPEX; there are: JPEG XL, 11 bytes, "):
        choose(Namespace(names=["JPEG", "JPEX"], mutations=0))


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("workers", [1, 2])
def test_attacks_end_no_process_and_stay_within_the_memory(workers):
    command = [sys.executable, "-m", "benchmarks.serving_attacks", "JPEG XL, 11", "BMP", "gRPC, gzip of 120 MB"]
    options = [f"--workers={workers}", "--repeat=1", "--seconds=3", "--memory-mb=256"]
    ended = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert (0, 5) == (ended.returncode, len(ended.stdout.splitlines())), ended.stdout + ended.stderr
