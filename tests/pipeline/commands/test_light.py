"""Commands that need no TensorFlow: what they print, and that they import nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pipeline import cli
from pipeline.settings import ROOT
from pipeline.store import champions, fileio, journal
from pipeline.store.champions import ModelVersion
from pipeline.store.layout import Workspace

HEAVY = {"tensorflow", "keras", "mlflow", "tfx", "numpy", "pandas", "apache_beam", "google.protobuf"}
CODE = """
import sys
from pipeline import cli
try:
    code = cli.main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print("\\nMODULES", code, *sorted(sys.modules))
"""


@pytest.mark.process
@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("models",), ("show", "digits"), ("show", "digits", "--json"), ("runs",), ("run", "--help")],
    ids=" ".join,
)
def test_nothing_heavy_is_imported(tmp_path, arguments):
    command = [sys.executable, "-c", CODE, *arguments]
    if arguments[0] in ("models", "runs"):
        command += ["--workspace", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    code, *modules = done.stdout.rpartition("\nMODULES ")[2].split()
    assert "0" == code
    assert set() == HEAVY & set(modules)


@pytest.fixture
def keraspipe(tmp_path, monkeypatch, capsys, recipe_text):
    """The command line in this process, on a catalogue of two recipes."""
    recipes, home = tmp_path / "recipes", tmp_path / "workspace"
    recipes.mkdir()
    (recipes / "plain.py").write_text(recipe_text)
    for name in ("KERASPIPE_DEBUG", "KERASPIPE_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KERASPIPE_RECIPES", str(recipes))

    def call(*arguments):
        try:
            code = cli.main([*arguments, "--workspace", str(home)])
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    call.home, call.recipes = home, recipes
    return call


def test_models_lists_the_catalogue_and_what_is_live(keraspipe):
    Workspace(keraspipe.home).model("plain", 3).mkdir(parents=True)
    champions.set_champion(Workspace(keraspipe.home), "plain", ModelVersion(3, "digest", "plain-1"))
    code, out, _ = keraspipe("models", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert 0 == code
    assert ("A title. And more", 3) == (rows["plain"]["title"], rows["plain"]["live_version"])
    assert rows["digits"]["live_version"] is None
    head, *lines = keraspipe("models")[1].splitlines()
    assert ["recipe", "live", "task", "data", "result", "minutes"] == head.split()
    assert sorted(lines) == lines
    assert ["plain", "v3", "-", "-"] in [line.split() for line in lines]


@pytest.fixture
def quick(keraspipe):
    """A version that only a --quick run has made."""
    home = Workspace(keraspipe.home)
    home.model("plain", 2).mkdir(parents=True)
    champions.set_alias(home, "plain", "quick", ModelVersion(2, "digest", "plain-2"))
    return keraspipe


def test_models_says_that_a_version_is_of_a_quick_run(quick):
    rows = {row["name"]: row for row in json.loads(quick("models", "--json")[1])}
    assert (None, 2) == (rows["plain"]["live_version"], rows["plain"]["quick_version"])
    (line,) = [line for line in quick("models")[1].splitlines() if line.startswith("plain")]
    assert ["plain", "-", "(v2", "quick)", "-", "-"] == line.split()
    Workspace(quick.home).model("plain", 1).mkdir()
    champions.set_champion(Workspace(quick.home), "plain", ModelVersion(1, "other", "plain-1"))
    (line,) = [line for line in quick("models")[1].splitlines() if line.startswith("plain")]
    assert ["plain", "v1", "-", "-"] == line.split()


def test_a_version_of_a_quick_run_is_not_served_by_its_name(quick):
    code, _, err = quick("serve", "plain", "--rest-port", "0")
    assert 2 == code
    assert "No model 'plain' is published" in err
    assert "Received: plain@2, made by a --quick run and used by this number only" in err
    assert "Next: run: keraspipe run plain" in err


@pytest.mark.parametrize("command", [("predict", "plain", "x.png"), ("lineage", "plain"), ("card", "plain")])
def test_who_asks_for_the_name_is_told_the_number_of_the_quick_run(quick, command):
    code, _, err = quick(*command)
    assert 2 == code
    assert "plain@2" in err
    assert "keraspipe run plain" in err


def test_models_names_the_broken_recipe_and_lists_the_others(keraspipe):
    (keraspipe.recipes / "broken.py").write_text("def (")
    code, out, err = keraspipe("models")
    assert 0 == code
    assert "plain" in out
    assert "broken.py has a syntax error" in err


def test_show_for_people_and_machines(keraspipe):
    code, out, _ = keraspipe("show", "plain", "--json")
    shown = json.loads(out)
    assert 0 == code
    assert {"at_least": {"accuracy": 0.9}} == shown["gate"]
    expected = {"name": "epochs", "type": "int", "default": 5, "range": "Range(1, 9)", "comment": "at most"}
    assert expected == shown["params"][0]
    text = keraspipe("show", "plain")[1]
    assert text.startswith("A title. And more.\n")
    assert "  at_least: {'accuracy': 0.9}\n" in text


def test_show_gives_a_computed_bound_as_it_stands(keraspipe, recipe_text):
    (keraspipe.recipes / "plain.py").write_text(recipe_text.replace('{"accuracy": 0.9}', "bounds()"))
    assert {"at_least": "bounds()"} == json.loads(keraspipe("show", "plain", "--json")[1])["gate"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "plian"), "did you mean plain?"),
        (("shw", "plain"), "did you mean show"),
        (("show",), "the following arguments are required: NAME"),
        (("runs", "plain-1"), "There is no run 'plain-1'"),
    ],
    ids=["recipe", "command", "argument", "run"],
)
def test_wrong_usage_ends_with_two(keraspipe, arguments, words):
    code, out, err = keraspipe(*arguments)
    assert 2 == code
    assert "" == out
    assert words in err
    assert "Next: " in err


def began(home, name, time, *, end=None, result=None):
    folder = Workspace(home).run(name).root
    folder.mkdir(parents=True)
    lines = [{"time": time, "event": "start"}]
    lines += [{"time": time + 1, "event": "end", "status": end, "message": "why", "seconds": 1.0}] if end else []
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if result:
        (folder / "result.json").write_text(json.dumps(result))


def test_runs_newest_first_with_their_states(keraspipe):
    home = keraspipe.home
    done = {"run_id": "b", "metrics": {"accuracy": 0.91234}, "model_version": 2}
    began(home, "b", 10.0, end="finished", result=done)
    began(home, "a", 30.0, end="failed")
    began(home, "c", 20.0)
    began(home, "d", 40.0)
    with fileio.lock(Workspace(home).run("d").lock):
        code, out, _ = keraspipe("runs", "--json")
        lines = keraspipe("runs")[1].splitlines()
    rows = json.loads(out)
    assert 0 == code
    expected = [("d", "running"), ("a", "failed"), ("c", "interrupted"), ("b", "finished")]
    assert expected == [(row["run_id"], row["state"]) for row in rows]
    assert ["d", "running"] == lines[0].split()
    assert ["b", "finished", "v2", "accuracy", "0.9123"] == lines[3].split()
    one = json.loads(keraspipe("runs", "a", "--json")[1])
    assert ("a", "failed", "why") == (one["run_id"], one["state"], one["message"])


def test_run_that_was_taken_up_again_has_its_last_state(keraspipe):
    began(keraspipe.home, "a", 10.0, end="failed")
    journal.append_event(Workspace(keraspipe.home).run("a").journal, "end", status="finished", message="", seconds=2.0)
    assert "finished" == json.loads(keraspipe("runs", "a", "--json")[1])["state"]


def test_run_that_has_written_nothing_yet(keraspipe):
    Workspace(keraspipe.home).run("a").root.mkdir(parents=True)
    assert ["a", "interrupted"] == keraspipe("runs")[1].split()


def test_no_runs_yet(keraspipe):
    assert (0, "No runs yet.\n") == keraspipe("runs")[:2]
    assert (0, []) == (keraspipe("runs", "--json")[0], json.loads(keraspipe("runs", "--json")[1]))


def test_unknown_run_names_those_that_are_close(keraspipe):
    began(keraspipe.home, "plain-20260101-000000-abcd", 1.0)
    assert "did you mean plain-20260101-000000-abcd?" in keraspipe("runs", "plain-20260101-000000-abce")[2]


def test_options_may_stand_between_the_arguments(keraspipe):
    code, _, err = keraspipe("predict", "plain", "--json", "x.png")
    assert (2, True) == (code, "No model 'plain' is published" in err)
