"""Shifts in time."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.layers import TimeShift

SAMPLES = 20
RAMP = np.tile(np.arange(1, SAMPLES + 1, dtype=np.float32), (64, 1))


def shifted(row, by):
    """The row moved by whole samples, with silence where nothing came."""
    moved = np.roll(row, by, axis=0)
    if by > 0:
        moved[:by] = 0
    elif by < 0:
        moved[by:] = 0
    return moved


@given(st.integers(-SAMPLES, SAMPLES))
def test_moves_by_whole_samples_and_fills_with_silence(by):
    layer = TimeShift((by / SAMPLES, by / SAMPLES))
    found = keras.ops.convert_to_numpy(layer(RAMP[:2], training=True))
    np.testing.assert_array_equal([shifted(row, by) for row in RAMP[:2]], found)


def test_each_row_by_an_amount_of_its_own_within_the_bounds():
    found = keras.ops.convert_to_numpy(TimeShift((-0.1, 0.3), seed=3)(RAMP, training=True))
    possible = {by: tuple(shifted(RAMP[0], by)) for by in range(-2, 7)}
    rows = {tuple(row) for row in found}
    assert rows <= set(possible.values())
    assert {possible[-2], possible[6]} <= rows


def test_only_training_shifts():
    np.testing.assert_array_equal(RAMP, TimeShift(0.5)(RAMP))
    np.testing.assert_array_equal(RAMP, TimeShift(0.5)(RAMP, training=False))


def test_channels_move_together():
    stereo = np.stack([RAMP, -RAMP], axis=-1)
    found = keras.ops.convert_to_numpy(TimeShift(0.5, seed=1)(stereo, training=True))
    np.testing.assert_array_equal(found[..., 0], -found[..., 1])
    assert not np.array_equal(stereo, found)


def test_same_seed_same_shifts():
    one, other = (TimeShift(0.5, seed=7)(RAMP, training=True) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_survives_a_file(tmp_path):
    model = keras.Sequential([keras.Input([SAMPLES]), TimeShift((-0.1, 0.3), seed=3)])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].get_config() == model.layers[0].get_config()
    assert (-0.1, 0.3) == loaded.layers[0].factor


@pytest.mark.parametrize("factor", [(0.3, 0.1), -0.1, 2, (-1.5, 0)])
def test_bounds_that_mean_nothing(factor):
    with pytest.raises(ValueError, match=r"factor must be ordered and within -1 and 1\. Received: factor="):
        TimeShift(factor)
