"""CartPole: a scripted player's steps, always the same, and the environment that learns and judges."""

from __future__ import annotations

import sys
from itertools import islice, pairwise

import numpy as np
import pytest

from pipeline.datasets.cartpole import CARTPOLE, LONGEST, CartPole, make_environment, play
from pipeline.errors import PipelineError
from pipeline.features import targets

gymnasium = pytest.importorskip("gymnasium")


def test_steps_follow_one_another_and_obey_the_environment(tmp_path):
    rows = [example.features for example in CartPole(episodes=2).examples(tmp_path)]
    for row, following in pairwise(rows):
        assert (
            row["ended"]
            or row["episode"] != following["episode"]
            or row["next_observation"] == following["observation"]
        )
    assert {0, 1} == {row["action"] for row in rows} == {row["ended"] for row in rows}
    assert {""} == {targets.find_fault(row, CARTPOLE.targets) for row in rows}
    assert 2 == sum(row["ended"] for row in rows)
    environment = make_environment()
    environment.reset(seed=0)
    for row in rows[:50]:
        environment.unwrapped.state = np.array(row["observation"])
        np.testing.assert_allclose(row["next_observation"], environment.step(row["action"])[0], rtol=1e-5)


def test_steps_are_the_same_every_time(tmp_path):
    first, again = (list(islice(CARTPOLE.examples(tmp_path), 300)) for _ in range(2))
    assert first == again


def test_a_fixed_push_fails_soon_and_a_careful_one_does_not():
    fixed = play(lambda rows: np.zeros(len(rows), int), range(20))
    careful = play(lambda rows: (rows @ [0.1, 0.3, 1.0, 1.0] > 0).astype(int), range(20))
    assert 8 <= fixed.min() <= fixed.max() <= 11
    assert 450 < careful.mean() <= LONGEST


def test_the_seed_begins_an_episode():
    def policy(rows):
        return (rows[:, 2] > 0).astype(int)

    together, alone = play(policy, range(5)), [play(policy, [seed])[0] for seed in range(5)]
    assert alone == together.tolist()
    assert len(set(alone)) > 1


def test_what_to_install_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(PipelineError, match="uv sync --extra gym"):
        CARTPOLE.files(tmp_path)
