"""The journal: append-only lines, read whole, from any offset."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.store import journal

NAMES = st.text(st.characters(categories=["Ll"]), min_size=1).filter(lambda name: name not in ("event", "time"))
FIELDS = st.dictionaries(NAMES, st.integers() | st.text() | st.lists(st.booleans()), max_size=3)


def read_events(path, offset=0):
    """The events behind an offset, without their times."""
    return [{k: v for k, v in event.items() if k != "time"} for event, _ in journal.iter_events(path, offset)]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Makes a journal that does not exist yet."""
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"

    def make():
        path.unlink(missing_ok=True)
        return path

    return make


@pytest.mark.heavy
@given(events=st.lists(FIELDS), cut=st.integers(0, 5))
def test_what_is_written_is_read_from_every_offset(fresh, events, cut):
    path = fresh()
    for fields in events:
        journal.append_event(path, "thing", **fields)
    expected = [{"event": "thing", **fields} for fields in events]
    assert expected == read_events(path)
    ends = [0, *(end for _, end in journal.iter_events(path))]
    start = min(cut, len(events))
    assert expected[start:] == read_events(path, ends[start])


@pytest.mark.heavy
@given(events=st.lists(FIELDS, min_size=1), cut=st.floats(0, 1))
def test_a_line_cut_off_is_passed_over_and_the_next_is_whole(fresh, events, cut):
    path = fresh()
    for fields in events:
        journal.append_event(path, "thing", **fields)
    content = path.read_bytes()
    last = content.rstrip(b"\n").rfind(b"\n") + 1
    path.write_bytes(content[: last + 1 + int(cut * (len(content) - last - 3))])
    before = [{"event": "thing", **fields} for fields in events[:-1]]
    assert before == read_events(path)
    journal.append_event(path, "next")
    assert [*before, {"event": "next"}] == read_events(path)


def test_a_line_is_not_read_before_its_end(tmp_path):
    path = tmp_path / "j"
    path.write_bytes(b'{"event": "a", "time": 1}\n{"event": "b"')
    assert [{"event": "a"}] == read_events(path)
    path.write_bytes(path.read_bytes() + b', "time": 2}\n')
    assert [{"event": "a"}, {"event": "b"}] == read_events(path)


def test_no_file_no_events(tmp_path):
    assert [] == read_events(tmp_path / "absent")


def test_writers_at_the_same_time_do_not_mix(tmp_path):
    path = tmp_path / "j"

    def write(number):
        for step in range(50):
            journal.append_event(path, "thing", number=number, step=step, filling="x" * 500)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_events(path)
    assert {(number, step) for number in range(4) for step in range(50)} == {(e["number"], e["step"]) for e in found}
    assert 200 == len(found)


def test_report_goes_to_the_current_journal_only(tmp_path):
    outer, inner = tmp_path / "outer", tmp_path / "inner"
    journal.report("lost")
    with journal.use_journal(outer):
        journal.report("one")
        with journal.use_journal(inner):
            journal.report("two", x=1)
        journal.report("three")
    journal.report("lost")
    assert [{"event": "one"}, {"event": "three"}] == read_events(outer)
    assert [{"event": "two", "x": 1}] == read_events(inner)
