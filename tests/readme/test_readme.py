"""The README's commands, executed in order; what they print is compared without its numbers.

Its first command has trained `digits` before: the fixture of that name tells what it printed, and the workspace is that
fixture's. The section about data of one's own needs nothing from the sections before, and may run beside them.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
START_S = 60
OWN_DATA = "## Your own data"
EXIT_CODE = ' || echo "exit code $?"'


@dataclass(frozen=True)
class Command:
    text: str
    prints: list[str]


def sections() -> tuple[str, str]:
    """The README without the section about data of one's own, and that section."""
    before, title, rest = README.read_text().partition(OWN_DATA)
    assert title, f"the README has no section {OWN_DATA}"
    own, heading, after = rest.partition("\n## ")
    return before + heading + after, own


def commands(text: str, kind: str) -> list[Command]:
    """The commands of all console blocks of a kind, each with the lines below it; Python blocks are commands too."""
    found: list[Command] = []
    pattern = rf"^```({kind}|python)\n(.*?)^```"
    for language, block in re.findall(pattern, text, re.MULTILINE | re.DOTALL):
        if language == "python":
            if kind == "console":
                found.append(Command(f"python - <<'END'\n{block}END", []))
            continue
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Command(line[2:], []))
            else:
                found[-1].prints.append(line)
    return found


def skeleton(line: str) -> str:
    """A line without what differs from run to run: numbers, ids, paths."""
    line = re.sub(r"digits-[\w-]+", "RUN", line)
    numbers = re.sub(r"((?<!\w)[-+])?\d[\d.,:e-]*", "#", line)  # the hyphen of mnist-2026 is no sign
    return re.sub(r"\s+", " ", numbers).strip()


def missing(expected: list[str], printed: str) -> list[str]:
    """Expected lines that do not appear in order; a part after … is not compared."""
    lines = iter([skeleton(line) for line in printed.splitlines()])
    absent = []
    for line in expected:
        parts = [skeleton(part) for part in line.split("…") if part.strip()]
        if parts and not any(all(part in candidate for part in parts) for candidate in lines):
            absent.append(line)
    return absent


class Shell:
    """A bash session in a copy-free view of the project, with the environment of a command line.

    `keraspipe …` with nothing for a shell is forked from a process that has imported TFX, which takes nine seconds.
    """

    def __init__(self, folder: Path, keraspipe: Any) -> None:
        self.folder = folder
        activated = f"{ROOT / '.venv' / 'bin'}:{keraspipe.environment['PATH']}"
        self.environment = {**keraspipe.environment, "PATH": activated}
        self.keraspipe = replace(keraspipe, workspace=folder / "workspace")  # for its folder alone
        self.servers: list[subprocess.Popen[str]] = []
        self.readers: list[threading.Thread] = []

    def run(self, command: str, prints: list[str]) -> str:
        if command.endswith(" &"):
            return self._serve(command.removesuffix(" &"), prints)
        plain, _, _ = command.partition(EXIT_CODE)
        words = shlex.split(plain)
        values = dict(word.split("=", 1) for word in itertools.takewhile(re.compile(r"[A-Z_]+=").match, words))
        if words[len(values)] == "keraspipe" and not set(plain) & set("|&;<>$`"):
            answer = self.keraspipe(*words[len(values) + 1 :], **values)
            ended = f"exit code {answer.code}" if answer.code else ""
            assert not ended or EXIT_CODE in command, f"{command}: {ended}\n{answer.err}{answer.out}"
            return f"{answer.err}{answer.out}{ended}"
        folder = ROOT if command.startswith("make ") else self.folder
        if command.startswith(". "):
            assert (ROOT / ".venv" / "bin" / "activate").exists()
            return ""
        done = subprocess.run(
            ["bash", "-c", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env=self.environment,
            check=False,
            timeout=1200,
        )
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def _serve(self, command: str, prints: list[str]) -> str:
        server = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], stdout=subprocess.PIPE, text=True, cwd=self.folder, env=self.environment
        )
        self.servers.append(server)
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.extend(iter(server.stdout.readline, "")), daemon=True)
        reader.start()
        self.readers.append(reader)
        end = time.monotonic() + START_S
        while time.monotonic() < end and missing(prints, "".join(lines)):
            time.sleep(0.2)
        return "".join(lines)

    def close(self) -> None:
        for server in self.servers:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
            self.readers.pop(0).join(30)
            server.stdout.close()


@pytest.fixture
def shell(tmp_path):
    with contextlib.ExitStack() as opened:

        def start(keraspipe: Any) -> Shell:
            return opened.enter_context(contextlib.closing(Shell(tmp_path, keraspipe)))

        yield start


def free(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) != 0


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def execute(shell: Shell, expected: list[Command]) -> None:
    assert expected
    for command in expected:
        printed = shell.run(command.text, command.prints)
        assert [] == missing(command.prints, printed), f"$ {command.text}\n{printed}"


with_venv = pytest.mark.skipif(not (ROOT / ".venv").is_dir(), reason="the README's commands use .venv")


@pytest.mark.long
@with_venv
@pytest.mark.xdist_group("digits")
def test_the_commands_print_what_the_readme_says(shell, digits):
    taken = [port for port in (8500, 8501, 5000) if not free(port)]
    if taken:
        pytest.skip(f"ports {taken} are taken on this machine")
    first, *others = commands(sections()[0], "console")
    assert "make run" == first.text
    assert [] == missing(first.prints, digits.answer.err + digits.answer.out)
    execute(shell(digits.keraspipe), others)


@pytest.mark.long
@with_venv
def test_the_commands_on_your_own_data_print_what_the_readme_says(shell, keraspipe):
    opened = shell(keraspipe)
    execute(opened, commands(sections()[1], "console"))
    asked, answered = (read_csv(opened.folder / name) for name in ("wine.csv", "answers.csv"))
    columns = ["predicted_target", *(f"probability_{label}" for label in "012")]
    assert [*asked[0], *columns] == list(answered[0])
    assert asked == [{name: row[name] for name in asked[0]} for row in answered]
    assert all(row[name] for row in answered for name in columns)


@pytest.mark.slow
def test_the_long_commands_print_what_the_readme_says(shell, keraspipe, shared_data):
    environment = {**keraspipe.environment, "KERASPIPE_DATA": str(shared_data)}
    execute(shell(replace(keraspipe, environment=environment)), commands(README.read_text(), "console slow"))


def test_every_command_of_the_command_line_is_in_the_readme():
    from pipeline.cli import COMMANDS

    text = README.read_text()
    assert [] == [name for name in COMMANDS if f"keraspipe {name}" not in text]


def test_missing_finds_a_line_that_is_not_there():
    assert ["✓ train 5 s"] == missing(["✓ train 5 s"], "✓ ingest 1 s\n")
    assert [] == missing(["a 1", "…", "c 3"], "a 2\nb\nc 4\n")
    assert ["a"] == missing(["b", "a"], "a\nb\n")
