"""Locks between processes: held by living processes alone, exclusive or shared."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from pipeline.store import fileio


def test_lock_is_held_within_the_block(tmp_path):
    path = tmp_path / "locks" / "a"
    assert not fileio.is_locked(path)
    with fileio.lock(path):
        assert fileio.is_locked(path)
    assert not fileio.is_locked(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_lock_that_may_only_be_read(tmp_path):
    path = tmp_path / "a"
    path.touch(0o444)
    assert not fileio.is_locked(path)


HOLDER = """
import pathlib, sys, time
from pipeline.store import fileio
with fileio.lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.process
def test_killed_process_releases_its_lock(tmp_path):
    path, asked = tmp_path / "a", []
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True) as holder:
        assert "held\n" == holder.stdout.readline()
        assert fileio.is_locked(path)
        with fileio.lock(path, lambda: (asked.append(1), holder.send_signal(signal.SIGKILL))):
            assert [1] == asked
            assert fileio.is_locked(path)
    assert -signal.SIGKILL == holder.returncode


def test_nobody_is_asked_to_wait_for_a_free_lock(tmp_path):
    with fileio.lock(tmp_path / "a", lambda: pytest.fail("waited")):
        pass


def test_lock_that_may_be_shared(tmp_path):
    path = tmp_path / "a"
    with fileio.lock(path, shared=True), fileio.lock(path, lambda: pytest.fail("waited"), shared=True):
        assert fileio.is_locked(path)
        with fileio.try_lock(path) as free:
            assert not free


def test_lock_that_is_tried(tmp_path):
    path = tmp_path / "locks" / "a"
    with fileio.try_lock(path) as free, fileio.try_lock(path) as again:
        assert (True, False) == (free, again)
    with fileio.try_lock(path) as free:
        assert free


def test_folder_is_its_own_lock(tmp_path):
    with fileio.lock(tmp_path):
        assert fileio.is_locked(tmp_path)
    assert [] == list(tmp_path.iterdir())
    assert not fileio.is_locked(tmp_path)
