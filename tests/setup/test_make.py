import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [
    "sh",
    "cat",
    "cksum",
    "cut",
    "sort",
    "head",
    "mkdir",
    "mv",
    "rm",
    "stat",
    "dirname",
    "uname",
    "df",
    "awk",
    "cp",
    "grep",
    "env",
]
CHORES = ("setup", "run", "test", "test-fast", "test-long", "test-all", "check", "bench", "clean")


def run(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    # `make test` runs this suite: a make inside it would speak of itself as a second one.
    kept = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    surroundings = {**kept, **environment}
    return subprocess.run(command, cwd=cwd, env=surroundings, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("chore", CHORES)
def test_every_chore_is_listed_and_can_be_planned(chore):
    assert re.search(rf"^make {chore} ", run("make", "help").stdout, re.MULTILINE)
    assert run("make", "-n", chore).returncode == 0


@pytest.mark.parametrize("chore", ["run", "test", "test-fast", "test-long", "test-all", "check", "bench"])
def test_every_chore_sets_up_first(chore):
    assert run("make", "-n", chore).stdout.splitlines()[0] == "bin/setup"


@pytest.mark.parametrize("chore", ["test", "test-fast", "test-long", "test-all"])
def test_pytest_arguments_are_passed_on(chore):
    assert "-k gate" in run("make", "-n", chore, "PYTEST_ARGS=-k gate").stdout


def test_the_fast_tests_start_no_process_and_all_tests_keep_nothing():
    assert (
        '-m "not process and not heavy and not long and not slow and not engine"'
        in run("make", "-n", "test-fast").stdout
    )
    assert "KERASPIPE_TEST_CACHE= .venv/bin/python" in run("make", "-n", "test-all").stdout


@pytest.mark.parametrize(("failing", "status"), [("", 0), ("test", 1), ("test-long", 1), ("engine", 1)])
def test_ci_runs_all_commands_and_fails_if_one_does(tmp_path, failing, status):
    make = tmp_path / "make"
    make.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/called\n[ "$1" != "{failing}" ]\n')
    make.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([ROOT / ".ci/run"], env=environment, capture_output=True, check=False)
    assert status == done.returncode
    assert ["test", "test-long", "engine"] == (tmp_path / "called").read_text().split()


@pytest.fixture
def bare(tmp_path):
    """A project with the set-up alone, and a PATH with the commands that every Linux has."""
    (tmp_path / "project").mkdir()
    for name in ("bin", "pyproject.toml", "uv.lock"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / "project" / name)
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in COMMANDS:
        (commands / name).symlink_to(shutil.which(name))
    return tmp_path / "project", commands


def fake(commands: Path, name: str, script: str) -> None:
    (commands / name).write_text(f"#!/bin/sh\n{script}\n")
    (commands / name).chmod(0o755)


def setup(project: Path, commands: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run bin/setup in surroundings of which it knows nothing but `commands`."""
    ours = ("PYTHON", "GPU", "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "PYTHONPATH")
    surroundings = dict.fromkeys(ours, "") | {"PATH": str(commands), "HOME": str(project)} | environment
    return run(shutil.which("sh"), "bin/setup", cwd=project, **surroundings)


def test_without_python_3_11_it_says_what_to_install(bare):
    fake(bare[1], "python3", '[ "$1" = --version ] && echo Python 3.9.2')
    answer = setup(*bare)
    assert answer.returncode == 1
    assert "Python 3.11 was not found" in answer.stderr
    assert "Received: Python 3.9.2" in answer.stderr


@pytest.fixture
def ready(bare):
    """The same with Python 3.11 and a stand-in for uv, which notes what it is asked."""
    project, commands = bare
    fake(commands, "python3.11", f'exec {sys.executable} "$@"')
    fake(commands, "uv", UV.format(cache=project, python=commands / "python3.11"))
    return project, commands


UV = """case "$1" in
--version) echo "uv 0.9.0";;
cache) echo {cache};;
sync) echo "$@" >>calls; mkdir -p .venv/bin; cp {python} .venv/bin/python; cp {python} .venv/bin/keraspipe;;
esac"""


def test_what_is_set_up_is_left_alone_quickly_until_the_lock_changes(ready):
    assert "setup: ready" in setup(*ready).stderr
    started = time.perf_counter()
    second = setup(*ready)
    assert (second.returncode, second.stderr) == (0, "")
    assert time.perf_counter() - started < 1
    (ready[0] / "uv.lock").write_text("changed")
    setup(*ready)
    calls = (ready[0] / "calls").read_text().splitlines()
    assert len(calls) == 2
    assert all(call.startswith("sync --locked") for call in calls)


def test_the_cuda_packages_are_remembered(ready):
    for choice in ("", "1", "", "0", ""):
        setup(*ready, GPU=choice)
    calls = (ready[0] / "calls").read_text().splitlines()
    assert ["--extra gpu" in call for call in calls] == [False, True, False]


def test_an_interrupted_set_up_is_repeated(ready):
    fake(ready[1], "uv", UV.format(cache=ready[0], python="/nowhere"))
    failed = setup(*ready)
    assert failed.returncode == 1
    assert "safe to repeat" in failed.stderr
    fake(ready[1], "uv", UV.format(cache=ready[0], python=ready[1] / "python3.11"))
    assert "setup: ready" in setup(*ready).stderr


def test_a_project_that_was_moved_is_set_up_anew(ready, tmp_path):
    setup(*ready)
    moved = ready[0].rename(tmp_path / "moved")
    assert "setup: ready" in setup(moved, ready[1]).stderr


@pytest.mark.slow
def test_a_fresh_clone_is_set_up_twice(tmp_path):
    clone = tmp_path / "clone"
    assert run("git", "clone", "-q", str(ROOT), str(clone)).returncode == 0
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if not (Path(part) / "uv").exists())
    first = run("make", "setup", cwd=clone, PATH=path)
    assert first.returncode == 0, first.stderr
    assert next((clone / ".venv").rglob("tensorflow/__pycache__/*.pyc"), None), "bytecode was not compiled"
    started = time.perf_counter()
    second = run("make", "setup", cwd=clone, PATH=path)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert time.perf_counter() - started < 1
    assert run(".venv/bin/python", "-P", "-c", "import pipeline", cwd=clone).returncode == 0
