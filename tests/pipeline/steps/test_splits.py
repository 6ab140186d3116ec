"""Splits by time in each group, official eval splits, and the tables next to the splits."""

from __future__ import annotations

from collections import Counter, defaultdict
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.formats import tfrecord
from pipeline.formats.base import Example
from pipeline.recipe import GroupTime, Hash, Official
from pipeline.steps.splits import choose_split, find_borders

EVENTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), max_size=80)
ORDER = ("train", "eval", "test")


def event(user, second):
    time = f"2020-01-01T00:{second // 60:02}:{second % 60:02}"
    return Example("", {"user": user, "second": second}, begins=time, ends=time)


def sides(examples, split):
    borders = find_borders(examples, split)
    return [choose_split(example, 0.5, SimpleNamespace(split=split), borders) for example in examples]


@given(EVENTS, st.sampled_from([0.0, 0.05, 0.1, 0.3]), st.sampled_from([0.0, 0.1, 0.25]))
def test_nothing_of_a_group_is_newer_than_its_test(events, evaluation, test):
    rows = [event(*pair) for pair in events]
    times = defaultdict(lambda: defaultdict(list))
    for row, side in zip(rows, sides(rows, GroupTime("user", evaluation, test)), strict=True):
        times[row.features["user"]][side].append(row.features["second"])
    for group in times.values():
        newest = [max(group[side], default=-1) for side in ORDER if group[side]]
        oldest = [min(group[side]) for side in ORDER if group[side]]
        assert all(before < after for before, after in zip(newest, oldest[1:], strict=False))


@given(st.lists(st.integers(0, 3599), unique=True, max_size=80))
def test_shares_are_rounded_down(seconds):
    counts = Counter(sides([event(1, second) for second in seconds], GroupTime("user", 0.1, 0.2)))
    assert int(len(seconds) * 0.2) == counts["test"]
    assert int(len(seconds) * 0.1) == counts["eval"]


def test_events_of_the_same_second_are_in_the_later_split():
    rows = [event(1, second) for second in (1, 2, 2, 2, 2)]
    assert ["train", "test", "test", "test", "test"] == sides(rows, GroupTime("user", 0.2, 0.2))


def test_other_splits_have_no_borders():
    assert {} == find_borders(iter([event(1, 1)]), Hash())


def test_a_row_without_its_group_or_its_time():
    with pytest.raises(PipelineError, match="cannot be split by who") as caught:
        sides([event(1, 1)], GroupTime("who"))
    assert "split=GroupTime(…)" in str(caught.value)
    with pytest.raises(PipelineError, match="cannot be split by time"):
        sides([Example("row", {"user": 1})], GroupTime("user"))


@pytest.mark.parametrize("split", ORDER)
def test_an_official_split_is_kept(split):
    assert [split] == sides([Example("", {}, split)], Official(eval=0.0))


def test_tables_are_read_as_they_were_written(tmp_path):
    tables = {"film_id": np.array([3, 5]), "title": np.array(["é".encode(), b""], "S5"), "none": np.zeros((0, 2))}
    tfrecord.write_tables(tmp_path, tables)
    found = tfrecord.read_tables(tmp_path)
    assert tables.keys() == found.keys()
    for name, values in tables.items():
        np.testing.assert_array_equal(values, found[name])
        assert values.dtype == found[name].dtype
    assert {} == tfrecord.read_tables(tmp_path / "absent")
