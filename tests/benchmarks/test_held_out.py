"""Rounds of held-out rows."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import held_out  # noqa: E402
from pipeline.datasets.ecg5000 import Ecg5000  # noqa: E402
from pipeline.formats.base import Example  # noqa: E402
from pipeline.recipes import catalog  # noqa: E402


@dataclass(frozen=True)
class Stub:
    """What the rounds need of a recipe."""

    data: object


class Voices:
    def examples(self, data):
        return (Example(f"{i}", {"speaker": name}) for i, name in enumerate([b"ann", b"bob", b"ann", b"eve"]))


def test_each_speaker_is_asked_and_never_learnt_from(tmp_path):
    found = list(held_out.speakers(Stub(Voices()), tmp_path))
    assert ["ann", "bob", "eve"] == [name for name, _, _ in found]
    assert [(["1", "3"], ["0", "2"]), (["0", "2", "3"], ["1"]), (["0", "1", "2"], ["3"])] == [
        ([e.source for e in learnt], [e.source for e in asked]) for _, learnt, asked in found
    ]


def test_each_fold_asks_about_other_normal_beats_and_all_anomalies(tmp_path):
    lines = [",".join([str(value)] * 140 + [kind]) for value, kind in enumerate("1131111151111")]
    (tmp_path / "beats").write_text("\n".join(lines))
    found = list(held_out.folds(Stub(Ecg5000("beats")), tmp_path))
    assert 5 == len(found)
    for _, learnt, asked in found:
        assert not any(e.features["is_anomaly"] for e in learnt)
        assert {2.0, 8.0} == {e.features["beat"][0] for e in asked if e.features["is_anomaly"]}
        assert 13 == len({e.source for e in [*learnt, *asked]}) == len(learnt) + len(asked)


def test_rows_are_preprocessed_by_the_recipe():
    recipe = catalog.load_recipe(ROOT / "models" / "heartbeat_autoencoder.py")
    beats = np.random.default_rng(0).normal(5, 3, (300, 140))
    examples = [
        Example(f"{i}", {"beat": tuple(beat), "is_anomaly": float(i % 2)}) for i, beat in enumerate(beats.tolist())
    ]
    found = held_out.rows(recipe, examples, recipe.params)
    ((features, label),) = found.dataset.batch(300).as_numpy_iterator()
    assert (300, 300 * 140 * 4) == (found.count, found.bytes)
    np.testing.assert_array_equal(np.arange(300) % 2, label)
    expected = (beats - beats.mean(1, keepdims=True)) / beats.std(1, keepdims=True)
    np.testing.assert_allclose(expected, features["beat"], atol=1e-5)


def test_interval_is_students():
    assert pytest.approx((0.5, 0.5 - 0.2484, 0.5 + 0.2484), abs=1e-4) == held_out.interval([0.4, 0.5, 0.6])
    assert (1.0, 1.0, 1.0) == held_out.interval([1.0, 1.0, 1.0])
    assert 1.0 == held_out.interval([0.8, 1.0])[2]
