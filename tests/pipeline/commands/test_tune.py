"""What a search prints, and that its command line says the trial again."""

from __future__ import annotations

import shlex

import pytest

from pipeline import cli
from pipeline.commands import run, tune
from pipeline.recipes import catalog, hyperparameters
from pipeline.runs.run import RunRequest
from pipeline.settings import Settings
from pipeline.tuning.search import Search, SearchResult
from pipeline.tuning.space import build_space
from pipeline.tuning.study import Trial

CHANGED = {"learning_rate": 0.00123, "filters": (16, 96), "batch_norm": True, "activation": "gelu"}


def asked(**options):
    source = catalog.find_recipe("mnist", Settings())
    base = hyperparameters.resolve(source, [])
    return Search(RunRequest(source, Settings(), base, **options), build_space(source, base, [], []), "val_loss", 3)


def trial(search, number=1, state="complete", value=0.0123456, **fields):
    return Trial(number, {**search.request.params, **CHANGED}, state, value, 12, 34.5, **fields)


def test_a_line_says_what_was_tried_and_what_came_of_it():
    search = asked()
    first = Trial(0, search.request.params, "complete", 0.5, 3, 1.0)
    line = tune.format_trial(trial(search), first, search)
    assert line.startswith("trial 1   complete  val_loss 0.01235 ")
    assert "best 0.5 (trial 0)" in line
    assert line.endswith("learning_rate=0.00123 filters=16,96 activation=gelu batch_norm=True")
    assert tune.format_trial(first, first, search).endswith("the recipe's defaults")


def test_a_failed_trial_gives_its_reason_on_one_line():
    search = asked()
    line = tune.format_trial(
        trial(search, state="failed", value=None, reason="It broke.\nReceived: a stone"), None, search
    )
    assert line.endswith("It broke. Received: a stone")
    assert "no best yet" in line


@pytest.mark.parametrize("options", [{}, {"seed": 7}])
def test_the_command_of_a_trial_asks_for_its_hyperparameters(options):
    search = asked(**options)
    best = trial(search)
    words = shlex.split(tune.equivalent_command(best, search))
    assert ["keraspipe", "run", "mnist"] == words[:3]
    request = run.make_request(cli.parse(words[1:]), Settings())
    assert (best.params, search.request.seed) == (request.params, request.seed)


@pytest.mark.parametrize("epochs", ["1", "3", "50"])
def test_the_command_of_a_quick_trial_trains_as_long(epochs):
    request = run.make_request(cli.parse(["run", "mnist", "--quick", "--set", f"epochs={epochs}"]), Settings())
    search = Search(request, build_space(request.source, request.params, ["dropout"], ["epochs"]), "val_loss", 3)
    words = shlex.split(tune.equivalent_command(Trial(0, request.params), search))
    assert request.key == run.make_request(cli.parse(words[1:]), Settings()).key


def test_the_table_has_the_best_first():
    search = asked()
    ranking = [trial(search, number, value=number / 10) for number in (3, 1, 2)]
    found = SearchResult("tune-mnist-1", ranking, ranking[0], ranking, {"filters": 0.75, "dropout": 0.25})
    lines = tune.format_summary(found, search)
    assert "mnist: 3 trials, 3 complete (tune-mnist-1)" == lines[0]
    assert ["3", "1", "2"] == [line.split()[0] for line in lines[2:5]]
    assert "Most important: filters 75%, dropout 25%" == lines[5]
    assert lines[6].startswith("Best: keraspipe run mnist --set ")


@pytest.mark.parametrize(
    ("objective", "rises"),
    [("val_loss", False), ("val_mae", False), ("val_error2", False), ("val_accuracy", True), ("val_top_k_acc", True)],
)
def test_more_of_an_accuracy_is_better_and_less_of_an_error(objective, rises):
    search = asked()
    assert rises is Search(search.request, search.space, objective, 3).maximize
