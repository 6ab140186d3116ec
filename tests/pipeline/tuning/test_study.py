"""A study over real SQLite files: it goes on, gives up bad trials, and proposes the same again."""

from __future__ import annotations

import pytest

from pipeline.recipes.hyperparameters import Field
from pipeline.tuning import space
from pipeline.tuning.objectives import COSTS, Objective
from pipeline.tuning.space import Space
from pipeline.tuning.study import POPULATION, Study
from pipeline.tuning.trial import Trial

pytestmark = pytest.mark.heavy

FIELDS = (Field("rate", "float", 0.01, "Range(1e-4, 0.1, log=True)"), Field("widths", "tuple[int, ...]", (16, 32)))
SPACE = Space(
    {"rate": 0.01, "widths": (16, 32), "epochs": 10}, {field.name: space.make_dimension(field) for field in FIELDS}
)


def opened(folder, *, maximize=False):
    return Study(folder / "study.db", SPACE, objectives=[Objective("value", maximize)], seed=3, epochs=10)


def value_of(params):
    return abs(params["rate"] - 0.03) + len(params["widths"])


def tried(study, state="complete"):
    running = study.ask()
    value = value_of(running.params)
    running.end(
        Trial(running.number, running.params, state, {"value": value}, 10, 0.5, "why" if state == "failed" else "")
    )
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
    other = Study(tmp_path / "other.db", SPACE, objectives=[Objective("value", maximize=False)], seed=4, epochs=10)
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
        running.end(Trial(running.number, running.params, "complete", {"value": 0.1}, 10))
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
    assert chosen(trial.value for trial in complete) == study.ranking()[0].value
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
    assert [] == opened(tmp_path).ranking()


def several(folder):
    """A study of two objectives: the one falls with the rate and rises with widths, the other is their sum."""
    objectives = [Objective("accuracy", maximize=True, metric="val_accuracy"), COSTS["parameters"]]
    return Study(folder / "study.db", SPACE, objectives=objectives, seed=3, epochs=10)


def tried_several(study, state="complete"):
    running = study.ask()
    assert running.report(1, 0.5), "nothing is given up: which of several objectives would decide?"
    widths = sum(running.params["widths"])
    values = {"accuracy": 1 - abs(running.params["rate"] - 0.03) - 1 / widths, "parameters": float(widths)}
    running.end(Trial(running.number, running.params, state, values if state == "complete" else {}, 10, 0.5, ""))
    return running.params


def test_of_several_objectives_the_search_proposes_the_same_after_a_stop(tmp_path):
    """Over more than two generations, with a failed trial in the first one."""
    for name in "ab":
        (tmp_path / name).mkdir()
    whole = several(tmp_path / "a")
    states = ["failed" if number == 3 else "complete" for number in range(3 * POPULATION)]
    proposed = [tried_several(whole, state) for state in states]
    in_parts = [tried_several(several(tmp_path / "b"), state) for state in states]
    assert proposed == in_parts
    assert SPACE.base == proposed[0]
    trials = several(tmp_path / "b").trials()
    assert [("failed", {}, None)] == [(t.state, t.values, t.value) for t in trials if t.number == 3]


def test_later_generations_descend_from_earlier_ones(tmp_path):
    study = several(tmp_path)
    for _ in range(3 * POPULATION):
        tried_several(study)
    trials = study.trials()
    rates = [trial.params["rate"] for trial in trials]
    inherited = sum(rate in rates[:POPULATION] for rate in rates[POPULATION:])
    assert inherited > POPULATION, "crossover hands on values that a parent has; drawn at random they never come again"
    assert {} == study.importances()
    assert study.ranking() == sorted(study.ranking(), key=lambda trial: -trial.values["accuracy"])


def test_all_trials_of_several_objectives_have_the_same_genes(tmp_path):
    study = several(tmp_path)
    for _ in range(POPULATION):
        tried_several(study)
    genes = [trial.params.keys() for trial in study._study.get_trials()]
    assert all({"rate", "widths.layers", "widths.0", "widths.1", "widths.2"} == names for names in genes)
    assert len({len(trial.params["widths"]) for trial in study.trials()}) > 1


def test_a_killed_trial_of_several_objectives_is_proposed_again(tmp_path):
    study = several(tmp_path)
    tried_several(study)
    killed = study.ask()
    again = several(tmp_path)
    (dead,) = again.requeue_interrupted()
    assert (killed.number, "interrupted", killed.params) == (dead.number, dead.state, dead.params)
    assert killed.params == tried_several(again)
