"""Files and folders appear complete or not at all."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.store import fileio


class CrashError(Exception):
    """What ends a block."""


def fail_in(block):
    with block as beside:
        (beside / "a" if beside.is_dir() else beside).write_text("new")
        raise CrashError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_keeps_its_old_content_when_the_block_fails(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(CrashError):
        fail_in(fileio.replace_file(path))
    assert "old" == path.read_text()
    assert ["a"] == names(tmp_path)


def test_file_is_absent_until_the_block_ends(tmp_path):
    path = tmp_path / "deep" / "a"
    with fileio.replace_file(path) as beside:
        beside.write_text("new")
        assert not path.exists()
    assert "new" == path.read_text()
    assert ["a"] == names(path.parent)


def test_folder_is_absent_until_the_block_ends(tmp_path):
    with fileio.create_folder(tmp_path / "f") as beside:
        (beside / "inner").mkdir()
        (beside / "inner" / "a").write_text("new")
        assert not (tmp_path / "f").exists()
    assert "new" == (tmp_path / "f" / "inner" / "a").read_text()
    assert ["f"] == names(tmp_path)


def test_folder_leaves_no_litter_when_the_block_fails(tmp_path):
    with pytest.raises(CrashError):
        fail_in(fileio.create_folder(tmp_path / "f"))
    assert [] == names(tmp_path)


def test_folder_never_replaces_another(tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "a").write_text("old")
    with pytest.raises(OSError, match="not empty"), fileio.create_folder(tmp_path / "f") as beside:
        (beside / "b").write_text("new")
    assert ["a"] == names(tmp_path / "f")
    assert ["f"] == names(tmp_path)


@pytest.mark.process
def test_process_killed_in_the_block_leaves_the_old_content(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    code = (
        "import os, pathlib, sys; from pipeline.store import fileio\n"
        "with fileio.replace_file(pathlib.Path(sys.argv[1])) as beside:\n"
        "    beside.write_text('new'); os.kill(os.getpid(), 9)"
    )
    assert -9 == subprocess.run([sys.executable, "-c", code, path], check=False).returncode
    assert "old" == path.read_text()


def test_writers_at_the_same_time_leave_one_whole_content(tmp_path):
    path = tmp_path / "a.json"
    values = [[number] * 2000 for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda value: fileio.write_json(path, value), values))
    assert fileio.read_json(path) in values
    assert ["a.json"] == names(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.heavy
@given(value=JSON)
def test_json_round_trip(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "round.json"
    fileio.write_json(path, value)
    assert value == fileio.read_json(path)


def test_absent_json_is_the_default(tmp_path):
    assert fileio.read_json(tmp_path / "a") is None
    assert {} == fileio.read_json(tmp_path / "a", {})


def test_numpy_numbers_are_written_as_numbers(tmp_path):
    import numpy as np

    fileio.write_json(tmp_path / "a", {"x": np.float32(0.5)})
    assert {"x": 0.5} == json.loads((tmp_path / "a").read_text())
