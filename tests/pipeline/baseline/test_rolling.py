"""The skill of a linear autoregression on parts of a series that it has not seen."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from pipeline.baseline import rolling
from pipeline.formats.base import Example

LENGTH, HORIZON, DAY = 14, 7, timedelta(days=1)
START = datetime.fromisoformat("2020-01-01")


def windows(values):
    rows = [
        Example(
            str(first),
            {"past": values[first : first + LENGTH], "next": values[first + LENGTH : first + LENGTH + HORIZON]},
            begins=(START + first * DAY).isoformat(),
            ends=(START + (first + LENGTH + HORIZON - 1) * DAY).isoformat(),
        )
        for first in range(len(values) - LENGTH - HORIZON + 1)
    ]
    return rolling.gather_windows([*rows, Example("bad", {}, fault="none")], ["past"], "next")


def borders(count):
    return [START + int(share * count) * DAY for share in (0.4, 0.55, 0.7, 0.85)]


def test_a_wave_is_nearly_perfect_and_a_random_walk_is_not():
    steps = np.arange(600)
    wave = list(50 + 20 * np.sin(steps * 2 * np.pi / 9.7))
    walk = list(np.random.default_rng(1).normal(size=600).cumsum())
    sure, none = (rolling.roll(windows(values), "past", 7, borders(600)) for values in (wave, walk))
    assert 3 == len(sure) == len(none)
    assert min(skill.best for skill in sure) > 0.99
    assert max(skill.best for skill in none) < 0.1


@pytest.mark.parametrize("draw", ["normal", "exponential", "lognormal", "laplace"])
def test_noise_of_any_shape_has_no_skill(draw):
    for seed in range(3):
        noise = getattr(np.random.default_rng(seed), draw)(size=2000)
        skills = rolling.roll(windows(list(noise)), "past", 7, borders(2000))
        assert 3 == len(skills)
        assert max(skill.best for skill in skills) < 0.01


def test_what_the_future_is_no_part_can_know():
    """A wave that begins after the last border changes nothing before it."""
    calm = np.random.default_rng(2).normal(size=400)
    changed = calm.copy()
    changed[350:] += 1000
    one, two = (rolling.roll(windows(list(values)), "past", 7, borders(400)) for values in (calm, changed))
    assert one == two


def test_a_season_that_repeats_itself_has_no_skill_to_measure():
    assert [] == rolling.roll(windows(list(np.arange(300) % 7.0)), "past", 7, borders(300))


def test_too_few_windows_have_no_skills():
    assert [] == rolling.roll(windows(list(np.random.default_rng(1).normal(size=40))), "past", 7, borders(40))


def test_a_hole_in_every_window_leaves_skills_to_measure():
    wave = 50 + 20 * np.sin(np.arange(600) * 2 * np.pi / 9.7)
    past = np.where(np.arange(600) % 10 == 4, np.nan, wave)
    rows = windows(list(past))
    rows = rolling.Windows(rows.columns, windows(list(wave)).truth, rows.begins, rows.ends)
    assert np.isnan(rows.columns["past"]).any(axis=1).all()
    skills = rolling.roll(rows, "past", 7, borders(600))
    assert 3 == len(skills)
    assert min(skill.best for skill in skills) > 0.5
