"""A file is read again exactly when it may have changed."""

from __future__ import annotations

import os

import pytest

from pipeline.store import hashing


def test_stamps_notice_a_file_replaced_with_its_size_and_date(tmp_path):
    path = tmp_path / "a"
    path.write_text("one")
    os.utime(path, ns=(1, 1))
    before = hashing.stamps([tmp_path])
    assert before == hashing.stamps([tmp_path])
    (tmp_path / "b").write_text("two")
    os.utime(tmp_path / "b", ns=(1, 1))
    (tmp_path / "b").replace(path)
    assert before != hashing.stamps([tmp_path])
    assert [3] == [size for name, size, mtime, _ in hashing.stamps([path]) if mtime == 1]


def test_data_digest_is_that_of_the_content(tmp_path):
    for name, content in (("one", "x"), ("two", "x"), ("three", "y")):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "file").write_text(content)
    one, two, three = (
        hashing.digest_files([tmp_path / name], tmp_path / f"{name}.json") for name in ("one", "two", "three")
    )
    assert one == two
    assert one != three


def test_data_digest_sees_names_and_new_content(tmp_path):
    root, memory = tmp_path / "data", tmp_path / "memory.json"
    root.mkdir()
    (root / "a").write_text("x")
    first = hashing.digest_files([root], memory)
    (root / "a").rename(root / "b")
    second = hashing.digest_files([root], memory)
    (root / "b").write_text("y")
    third = hashing.digest_files([root], memory)
    assert 3 == len({first, second, third})
    assert third == hashing.digest_files([root], memory)


def test_unchanged_data_are_not_read_again(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("x")
    memory = tmp_path / "memory" / "a.json"
    first = hashing.digest_files([tmp_path / "a"], memory)
    monkeypatch.setattr(hashing, "_content_digest", lambda paths: pytest.fail("read again"))
    assert first == hashing.digest_files([tmp_path / "a"], memory)
