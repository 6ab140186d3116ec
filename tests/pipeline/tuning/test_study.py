"""A study over real SQLite files: it goes on, gives up bad trials, and proposes the same again."""

from __future__ import annotations

import pytest

from pipeline.recipes.hyperparameters import Field
from pipeline.tuning import space
from pipeline.tuning.space import Space
from pipeline.tuning.study import Study, Trial

pytestmark = pytest.mark.heavy

FIELDS = (Field("rate", "float", 0.01, "Range(1e-4, 0.1, log=True)"), Field("widths", "tuple[int, ...]", (16, 32)))
SPACE = Space(
    {"rate": 0.01, "widths": (16, 32), "epochs": 10}, {field.name: space.make_dimension(field) for field in FIELDS}
)


def opened(folder, *, maximize=False):
    return Study(folder / "study.db", SPACE, maximize=maximize, seed=3, epochs=10)


def value_of(params):
    return abs(params["rate"] - 0.03) + len(params["widths"])


def tried(study, state="complete"):
    running = study.ask()
    value = value_of(running.params)
    running.end(Trial(running.number, running.params, state, value, 10, 0.5, "why" if state == "failed" else ""))
    return running.params


def test_the_first_trial_is_the_recipe_itself(tmp_path):
    assert SPACE.base == tried(opened(tmp_path))


def test_it_goes_on_from_its_file_and_proposes_what_it_would_have_proposed(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = opened(tmp_path / "a")
    proposed = [tried(whole) for _ in range(10)]
    in_parts = [tried(opened(tmp_path / "b")) for _ in range(10)]
    assert proposed == in_parts
    assert proposed == [trial.params for trial in opened(tmp_path / "b").trials()]
    assert 10 == len({str(one) for one in proposed})


def test_another_seed_proposes_other_values(tmp_path):
    first = opened(tmp_path)
    other = Study(tmp_path / "other.db", SPACE, maximize=False, seed=4, epochs=10)
    assert tried(first) == tried(other)  # the recipe itself
    assert tried(first) != tried(other)


def test_a_trial_that_was_killed_is_reported_and_proposed_again(tmp_path):
    study = opened(tmp_path)
    tried(study)
    killed = study.ask()
    killed.report(1, 0.5)
    again = opened(tmp_path)
    (dead,) = again.requeue_interrupted()
    assert (killed.number, "interrupted", killed.params) == (dead.number, dead.state, dead.params)
    assert 1 == len(again.trials())
    assert killed.params == tried(again)
    assert [] == opened(tmp_path).requeue_interrupted()


def test_the_first_trial_survives_a_kill_before_its_values_were_drawn(tmp_path):
    study = opened(tmp_path)
    study._study.ask()
    again = opened(tmp_path)
    again.requeue_interrupted()
    assert SPACE.base == tried(again)


def test_a_trial_that_falls_behind_the_median_is_given_up(tmp_path):
    study = opened(tmp_path)
    for _ in range(3):
        running = study.ask()
        assert all(running.report(epoch, 1.0 / epoch) for epoch in range(1, 11))
        running.end(Trial(running.number, running.params, "complete", 0.1, 10))
    bad, good = study.ask(), study.ask()
    assert [True, True, False] == [bad.report(epoch, 5.0) for epoch in (1, 2, 3)]
    assert all(good.report(epoch, 0.5 / epoch) for epoch in range(1, 11))


@pytest.mark.parametrize(("maximize", "chosen"), [(False, min), (True, max)])
def test_the_best_is_a_complete_one(tmp_path, maximize, chosen):
    study = opened(tmp_path, maximize=maximize)
    for state in ("complete", "failed", "complete", "pruned", "complete"):
        tried(study, state)
    complete = [trial for trial in study.trials() if trial.state == "complete"]
    assert 3 == len(complete)
    assert chosen(trial.value for trial in complete) == study.best().value
    failed = study.trials()[1]
    assert ("failed", None, "why") == (failed.state, failed.value, failed.reason)


def test_importances_are_shares_of_the_searched_hyperparameters(tmp_path):
    study = opened(tmp_path)
    tried(study)
    assert {} == study.importances()
    for _ in range(7):
        tried(study)
    found = study.importances()
    assert {"rate", "widths"} == found.keys()
    assert pytest.approx(1.0) == sum(found.values())


def test_without_a_trial_nothing_is_best(tmp_path):
    assert opened(tmp_path).best() is None
