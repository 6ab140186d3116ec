"""What a search prints, and that its command line says the trial again."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

import pytest

from pipeline import cli
from pipeline.commands import _front, run, tune
from pipeline.errors import UsageError
from pipeline.recipes import catalog, hyperparameters
from pipeline.runs.run import RunRequest
from pipeline.settings import Settings
from pipeline.tuning.objectives import parse_objectives, single_objective
from pipeline.tuning.plan import Search, SearchResult, final_request, picked_trial
from pipeline.tuning.space import build_space
from pipeline.tuning.trial import Trial

LOSS = (single_objective("val_loss"),)
CHANGED = {"learning_rate": 0.00123, "filters": (16, 96), "batch_norm": True, "activation": "gelu"}


def asked(**options):
    source = catalog.find_recipe("mnist", Settings())
    base = hyperparameters.resolve(source, [])
    return Search(RunRequest(source, Settings(), base, **options), build_space(source, base, [], []), LOSS, 3)


def trial(search, number=1, state="complete", value=0.0123456, **fields):
    values = {} if value is None else {"val_loss": value}
    return Trial(number, {**search.request.params, **CHANGED}, state, values, 12, 34.5, **fields)


def test_a_line_says_what_was_tried_and_what_came_of_it():
    search = asked()
    first = Trial(0, search.request.params, "complete", {"val_loss": 0.5}, 3, 1.0)
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
    search = Search(request, build_space(request.source, request.params, ["dropout"], ["epochs"]), LOSS, 3)
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
    assert rises is Search(search.request, search.space, (single_objective(objective),), 3).objectives[0].maximize


def front(*options, pick=None):
    """A search for three objectives by the command line, and what came of it: trials 0 and 2 are the front."""
    request = run.make_request(cli.parse(["run", "mnist", *options]), Settings())
    space = build_space(request.source, request.params, [], [text.partition("=")[0] for text in options[1::2]])
    search = Search(request, space, parse_objectives("accuracy,latency_ms,parameters"), 3, pick)
    first, second = (
        Trial(number, {**request.params, **changes}, "complete", values, 3, 1.0)
        for number, changes, values in (
            (0, {}, {"accuracy": 0.9875, "latency_ms": 0.41, "parameters": 1234567.0}),
            (2, {"learning_rate": 0.00123}, {"accuracy": 0.5, "latency_ms": 0.2, "parameters": 99.0}),
        )
    )
    failed = Trial(1, request.params, "failed", reason="It broke.\nReceived: a stone")
    return search, SearchResult("tune-mnist-1", [first, failed, second], second, [first, second], {}, pick)


def test_the_table_of_a_front_has_each_objective_with_its_direction():
    search, found = front()
    lines = _front.format_front(found, search)
    assert "mnist: 3 trials, 2 complete, 1 failed, 2 on the front (tune-mnist-1)" == lines[0]
    assert ["trial", "accuracy (max)", "latency_ms (min)", "parameters (min)"] == re.split(r"  +", lines[1].strip())[:4]
    assert ["0", "0.9875", "0.41", "1,234,567"] == lines[2].split()[:4]
    assert lines[3].endswith("balanced  learning_rate=0.00123")
    assert any("median of single rows" in line for line in lines)
    assert not any(line.startswith("size_mb") for line in lines)
    assert lines[-1].endswith("--objectives accuracy,latency_ms,parameters --pick 2")


def test_a_line_of_a_trial_says_whether_it_is_on_the_front():
    search, found = front()
    lines = [_front.format_trial(trial, found.ranking, search) for trial in found.trials]
    assert "on the front" in lines[0]
    assert "front of 2" in lines[1]
    assert lines[1].endswith("It broke. Received: a stone")
    assert "no front yet" in _front.format_trial(found.trials[1], [], search)


@pytest.mark.parametrize("options", [(), ("--set", "learning_rate=0.002"), ("--set", "dropout=0.25")])
def test_the_command_that_picks_a_point_asks_for_the_same_search(options):
    search, found = front(*options)
    words = shlex.split(_front.pick_command(found.best, search))
    again = tune._make_search(cli.parse(words[1:]), Settings())
    assert search.run_id("data") == again.run_id("data")
    assert (0, 2) == (again.trials, again.pick)


def test_the_picked_point_is_what_runs():
    search, found = front()
    assert picked_trial(search, found) is None
    assert found.ranking[1] is picked_trial(replace(search, pick=2), found)
    request = final_request(search, found, found.ranking[1])
    assert (0.00123, "tune-mnist-1 trial 2") == (request.params["learning_rate"], request.trial)


@pytest.mark.parametrize(("number", "said"), [(1, "which has failed"), (7, "no trial has that number")])
def test_what_is_no_point_of_the_front_cannot_be_picked(number, said):
    search, found = front(pick=number)
    with pytest.raises(UsageError, match=f"not on the front.\nExpected: --pick with one of 0, 2\n.*{said}"):
        picked_trial(search, found)


def test_a_trial_that_is_beaten_is_not_picked_and_the_better_one_is_named():
    search, found = front(pick=3)
    worse = Trial(3, search.request.params, "complete", {"accuracy": 0.98, "latency_ms": 0.5, "parameters": 2e6})
    with pytest.raises(UsageError, match="3; trial 0 is as good in all objectives and better in one"):
        picked_trial(search, replace(found, trials=[*found.trials, worse]))
    equal = replace(worse, values=found.ranking[0].values)
    with pytest.raises(UsageError, match="3; trial 0 gives the same"):
        picked_trial(search, replace(found, trials=[*found.trials, equal]))


def test_json_has_the_front_with_its_commands():
    search, found = front(pick=2)
    facts = tune._to_dict(search, found, None)
    assert ["accuracy", "latency_ms", "parameters"] == [each["name"] for each in facts["objectives"]]
    assert [0, 2] == [point["number"] for point in facts["front"]]
    assert (2, 2) == (facts["balanced"], facts["picked"])
    assert facts["picture"].endswith("tune-mnist-1/pareto.png")
    assert "best" not in facts
    assert facts["front"][1]["command"] == tune.equivalent_command(found.ranking[1], search)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--pick", "1"),
        ("--objective", "val_loss", "--pick", "1"),
        ("--objective", "val_loss", "--objectives", "accuracy,flops"),
        ("--objectives", "accuracy,flops", "--pick", "1", "--no-run"),
    ],
)
def test_options_that_contradict_each_other_are_refused(arguments):
    with pytest.raises(UsageError, match="contradict") as error:
        tune._make_search(cli.parse(["tune", "mnist", *arguments]), Settings())
    assert " ".join(arguments) in str(error.value)
