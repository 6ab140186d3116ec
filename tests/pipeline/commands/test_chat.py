"""`keraspipe chat` as a user calls it: piped, in a terminal, in this process and over a server."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import time

import pytest

from pipeline.store import champions
from pipeline.store.champions import ModelVersion
from pipeline.store.layout import Workspace

pytestmark = pytest.mark.process
OPTIONS = ("--seed", "3", "--max-tokens", "12")


def _publish(home, name, folder):
    workspace = Workspace(home)
    shutil.copytree(folder, workspace.model(name, 1))
    champions.set_champion(workspace, name, ModelVersion(1, "digest", "run"))


@pytest.fixture(scope="module")
def command(keraspipe_in, languages, tmp_path_factory):
    """The command line on a workspace with the language models `talk` and `slow`."""
    made = keraspipe_in(tmp_path_factory.mktemp("chat"))
    _publish(made.workspace, "talk", languages / "quick")
    _publish(made.workspace, "slow", languages / "slow")
    return made


@pytest.fixture(scope="module")
def server(command, run_server):
    with run_server(command.workspace / "serving") as running:
        yield running


def _chat(command, *arguments, lines, code=0):
    """What a chat prints for lines of a pipe."""
    process = subprocess.Popen(
        command.command("chat", *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=command.workspace.parent,
        env=command.environment,
    )
    out, err = process.communicate("".join(f"{line}\n" for line in lines), timeout=120)
    assert code == process.returncode, err
    return out, err


class Terminal:
    """A chat in a terminal."""

    def __init__(self, command, *arguments):
        self.pid, self.file = pty.fork()
        if not self.pid:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a suite in the background ignores it, and so would the chat
            os.chdir(command.workspace.parent)
            line = command.command("chat", *arguments)
            os.execve(line[0], line, {**command.environment, "TERM": "dumb"})
        self.seen = ""

    def write(self, text):
        os.write(self.file, text.encode())

    def wait_for(self, text, press=""):
        """Reads until a text comes; returns what came before and with it.

        A key is pressed again where nothing comes: Python misses a Ctrl-C between its prompt and its wait for keys.
        """
        end = time.monotonic() + 120
        self.write(press)
        while text not in self.seen:
            assert time.monotonic() < end, self.seen
            if not select.select([self.file], [], [], 2)[0]:
                self.write(press)
                continue
            try:
                self.seen += os.read(self.file, 4096).decode("utf-8", "replace")
            except OSError:  # it has ended
                break
        assert text in self.seen, self.seen
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def code(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_chat_in_a_pipe_reads_as_a_talk(command, server):
    """In this process and over a server the answers are the same; /exit ends it, and what follows is not read."""
    lines = ("hello", "", "/reset", "hello", "/exit", "never")
    here, errors = _chat(command, "talk", *OPTIONS, lines=lines)
    there, _ = _chat(command, "talk", *OPTIONS, "--server", server.rest, lines=lines)
    assert here == there
    assert "" == errors
    first, second = here.replace("you> /reset\n", "").replace("you> /exit\n", "").split("you> hello\n")[1:]
    assert first.startswith("talk> ")
    assert first == second
    assert "never" not in here
    assert all(character.isprintable() or character == "\n" for character in here)


def test_a_talk_is_remembered(command, server):
    once, _ = _chat(command, "talk", *OPTIONS, "--server", server.rest, "--system", "Be brief.", lines=["a", "b"])
    other, _ = _chat(command, "talk", *OPTIONS, "--server", server.rest, "--system", "Be brief.", lines=["c", "b"])
    assert once.splitlines()[-1] != other.splitlines()[-1]


def test_control_c_ends_an_answer_and_not_the_chat(command, server):
    """In a terminal, over a server and in this process."""
    for where in (("--server", server.rest), ()):
        terminal = Terminal(command, "slow", "--temperature", "0.3", *where)
        terminal.wait_for("you> ")
        terminal.wait_for("Ctrl-D the chat", press="\x03")
        terminal.write("hello\n")
        terminal.wait_for("slow> ")
        while len(terminal.seen) < 5:
            terminal.seen += os.read(terminal.file, 100).decode("utf-8", "replace")
        terminal.wait_for("you> ", press="\x03")
        terminal.write("/exit\n")
        assert 0 == terminal.code()


def test_a_chat_that_cannot_be(command, server):
    _, error = _chat(command, "absent", lines=["x"], code=2)
    assert "No recipe is called 'absent'" in error or "absent" in error
    _, error = _chat(command, "talk", "--server", "http://127.0.0.1:9", lines=["x"], code=1)
    assert "No server answers" in error
    _, error = _chat(command, "nobody", "--server", server.rest, lines=["x"], code=1)
    assert "'nobody' is not served" in error
    _, error = _chat(command, "talk", "--server", "127.0.0.1:8500", lines=["x"], code=2)
    assert "no address of a REST API" in error
    _, error = _chat(command, "talk", "--temperature", "7", lines=["x"], code=1)
    assert "from 0 to 2" in error
