import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline.store import journal

records = st.lists(
    st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=8)), max_size=3),
    max_size=8,
)


@given(records, st.data())
def test_reading_in_pieces_gives_what_reading_at_once_gives(tmp_path_factory, items, data):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    content = b"".join(json.dumps(item).encode() + b"\n" for item in items)
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    first = list(journal.read_events(path))
    offset = first[-1].end if first else 0
    path.write_bytes(content)
    rest = list(journal.read_events(path, offset))
    assert items == [event.fields for event in first + rest]
    assert not any(event.problem for event in first + rest)


@given(st.binary(max_size=200))
def test_no_content_stops_the_reader(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    path.write_bytes(content)
    found = list(journal.read_events(path))
    assert content.count(b"\n") == len(found)
    assert content.rfind(b"\n") + 1 == (found[-1].end if found else 0)


def test_a_bad_line_is_reported_and_passed_over(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"event": "start"}\nnonsense\n[1]\n{"event": "end"}\n{"event": "cut o')
    kinds = [(event.kind, bool(event.problem)) for event in journal.read_events(path)]
    assert kinds == [("start", False), ("", True), ("", True), ("end", False)]


def test_a_line_cut_off_is_not_pending(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"event": "start"}\n{"eve')
    assert journal.has_events(path, 0)
    assert not journal.has_events(path, 19)
    assert not journal.has_events(tmp_path / "absent", 0)
