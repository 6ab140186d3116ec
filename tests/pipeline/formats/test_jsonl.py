"""JSON lines: an object a line, faulty lines as faults."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.formats import jsonl
from pipeline.formats.jsonl import JsonLines, read_rows
from pipeline.tables.dialect import find_encoding
from pipeline.tables.encodings import COMPRESSED, GZIP, SIGNATURES

DATA = JsonLines("rows.jsonl", {"text": "bytes", "size": "float", "wave": "float[2]"}, "kind", ("a", "b"))

NO_TEXT = (GZIP, *(mark for mark, *_ in (*COMPRESSED, *SIGNATURES) if mark != b"BZh"))  # which three letters may begin


@pytest.fixture
def rows(tmp_path):
    def read(*lines, data=DATA):
        (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
        return list(data.examples(tmp_path))

    return read


def test_members_in_their_kinds(rows):
    (one,) = rows('{"kind": "a", "text": "grün", "size": 2, "wave": [1, null], "more": {}}')
    assert "" == one.fault
    assert "grün".encode() == one.features["text"]
    assert 2.0 == one.features["size"]
    assert 1.0 == one.features["wave"][0]
    assert 4 == len(one.features)


def test_absent_and_null_are_missing(rows):
    (one,) = rows('{"kind": "b", "text": null, "wave": [1, 2]}')
    assert {"kind", "wave"} == one.features.keys()


def test_class_that_is_a_number_or_a_truth_value(rows):
    data = JsonLines("rows.jsonl", {}, "kind", ("1", "true"))
    assert [b"1", b"true"] == [one.features["kind"] for one in rows('{"kind": 1}', '{"kind": true}', data=data)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"kind": "a"', "not JSON: "),
        ("[1]", "not an object: '[1]'"),
        ("[" * 100_000, "not JSON: "),
        ('{"kind": "a", "size": "big", "wave": [1, 2]}', "column size is not of kind float: 'big'"),
        ('{"kind": "a", "size": 1' + "0" * 5000 + "}", "not JSON: "),
        ('{"kind": "a", "size": 1' + "0" * 400 + "}", "column size is not of kind float"),
        ('{"kind": "a", "text": "\\ud800"}', "column text is not of kind bytes"),
        ('{"kind": "a", "wave": [1]}', "column wave is not of kind float[2]"),
        ('{"wave": [1, 2]}', "the label kind is empty"),
    ],
)
def test_faulty_line(rows, line, words):
    first, second = rows(line, '{"kind": "a", "wave": [1, 2]}')
    assert words in first.fault
    assert first.source.endswith("rows.jsonl line 1")
    assert "" == second.fault


def test_blank_lines_are_no_rows(rows):
    found = rows("", '{"kind": "a", "wave": [1, 2]}', "  ", '{"kind": "a", "wave": [1, 2]}', "")
    assert ["2", "4"] == [one.source.rpartition(" ")[2] for one in found]


def test_gzip_and_official_test_file(tmp_path):
    data = JsonLines("train.jsonl.gz", {}, "kind", ("a", "b"), test="test.jsonl")
    (tmp_path / "train.jsonl.gz").write_bytes(gzip.compress(b'{"kind": "a"}\n'))
    (tmp_path / "test.jsonl").write_text('{"kind": "b"}')
    found = [(one.split, one.features["kind"]) for one in data.examples(tmp_path)]
    assert [("train", b"a"), ("test", b"b")] == found


def test_damaged_gzip(tmp_path):
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(b'{"kind": "a"}\n' * 1000)[:-9])
    with pytest.raises(PipelineError, match="Next: replace"):
        list(JsonLines("rows.jsonl.gz", {}, "kind", ("a",)).examples(tmp_path))


def test_a_file_that_ends_within_a_character_is_refused(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes('{"kind": "a"}\n'.encode("utf-16")[:-1])
    with pytest.raises(PipelineError, match="Next: replace"):
        list(DATA.examples(tmp_path))


@given(st.binary(max_size=100))
@example(b"PAR1\x15 of another format")
@example(gzip.compress(b"{}"))
def test_no_line_ends_in_another_error(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    (folder / "rows.jsonl").write_bytes(content)
    if content.startswith(NO_TEXT):
        with pytest.raises(PipelineError, match="is no text, but"):
            list(DATA.examples(folder))
        return
    assume(len(content) % 2 == 0 or find_encoding(folder / "rows.jsonl") == "utf-8")  # else it ends within a character
    for one in DATA.examples(folder):
        assert one.fault or one.features["kind"]


@pytest.mark.heavy
@given(st.lists(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))))
def test_what_is_written_is_read(tmp_path_factory, table):
    path = tmp_path_factory.getbasetemp() / "written.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in table))
    assert table == [row for _, row, fault in jsonl.read_rows(path) if not fault]


ROWS = [{"kind": "a", "size": 1}, {"kind": "b", "size": None}]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        "\n [\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n",
        json.dumps({"kind": {"0": "a", "1": "b"}, "size": {"0": 1, "1": None}}),
        json.dumps({"columns": ["kind", "size"], "index": [0, 1], "data": [["a", 1], ["b", None]]}),
        json.dumps({"schema": {}, "data": ROWS}, indent=1),
        json.dumps({"0": ROWS[0], "1": ROWS[1]}),
        json.dumps({"kind": ["a", "b"], "size": [1, None]}),
        "\n".join(map(json.dumps, ROWS)),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_in_json(tmp_path, text, encoding):
    (tmp_path / "rows.json").write_text(text, encoding=encoding)
    assert ROWS == [row for _, row, _ in jsonl.read_rows(tmp_path / "rows.json")]


def test_columns_with_a_row_twice_are_no_table(tmp_path):
    (tmp_path / "rows.json").write_text('{"a": {"0": 1, "0": 2}, "b": {"0": 3, "0": 4}}')
    ((_, row, _),) = jsonl.read_rows(tmp_path / "rows.json")
    assert {"a", "b"} == row.keys()  # nested values, which no feature can have


def test_rows_by_their_names_are_more_than_the_columns(tmp_path):
    named = {f"row {number}": {"kind": "a", "size": number} for number in range(3)}
    (tmp_path / "rows.json").write_text(json.dumps(named))
    assert list(named.values()) == [row for _, row, _ in jsonl.read_rows(tmp_path / "rows.json")]


def test_array_longer_than_a_block(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "BLOCK_CHARACTERS", 7)
    (tmp_path / "rows.json").write_text(json.dumps(ROWS * 3))
    assert ROWS * 3 == [row for _, row, _ in jsonl.read_rows(tmp_path / "rows.json")]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ('[{"a": 1}, 2, {"a": 3}]', ["", "not an object", ""]),
        ('[{"a": 1}, {"a"', ["", "not JSON"]),
        ("[]", []),
        ("", []),
        ('{"a": [1, 2]}', [""]),
        ('{"a": [1, 2], "b": 3}', [""]),
        ('{"a": [1], "b": [2]}', [""]),
        ('{"a": 1, "b": 2, "a": 3}', ["the member 'a' comes twice"]),
        ('{"a": [1, 2], "a": [3, 4], "b": [5, 6]}', ["the member 'a' comes twice"]),
        ('{"data": [{"a": 1}, {"a": 1, "a": 2}]}', ["", "the member 'a' comes twice"]),
        ('[{"a": 1}, {"a": 1, "a": 1}, {"a": 3}]', ["", "the member 'a' comes twice", ""]),
    ],
)
def test_faults_in_an_array(tmp_path, text, faults):
    (tmp_path / "rows.json").write_text(text)
    assert faults == [fault.partition(":")[0] for _, _, fault in jsonl.read_rows(tmp_path / "rows.json")]


def test_several_tables_in_one_object_are_named(tmp_path):
    path = tmp_path / "t.json"
    path.write_text('{"train": [{"a": 1}, {"a": 2}], "test": [{"a": 3}]}')
    with pytest.raises(PipelineError, match=r"holds several tables\.(.*\n)*Received: lists of objects: train, test"):
        list(JsonLines("t.json", {"a": "float"}, "kind").examples(tmp_path))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "document",
    [
        {"count": 2, "next": None, "results": [{"a": 1}, {"a": 2}]},
        {"meta": {"page": 1}, "rows": [{"a": 1}, {"a": 2}], "tags": ["x"]},
        {"response": [{"a": 1}, {"a": 2}]},
    ],
)
def test_rows_in_the_only_list_of_objects(tmp_path, document, indent):
    (tmp_path / "rows.json").write_text(json.dumps(document, indent=indent))
    assert [("row 1", {"a": 1}, ""), ("row 2", {"a": 2}, "")] == list(read_rows(tmp_path / "rows.json"))


def test_features_of_geojson(tmp_path):
    features = [
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [13.4, 52.5, 30]}, "properties": {"a": 1}},
        {"type": "Feature", "geometry": None, "properties": {"a": 2}},
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[[0, 0]]]}, "properties": None},
    ]
    (tmp_path / "map.json").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    rows = [row for _, row, _ in read_rows(tmp_path / "map.json")]
    assert [{"longitude": 13.4, "latitude": 52.5, "a": 1}, {"a": 2}, {}] == rows


def test_lists_of_objects_within_lines_are_no_rows(tmp_path):
    line = json.dumps({"id": 1, "items": [{"a": 1}, {"a": 2}]})
    (tmp_path / "rows.jsonl").write_text(f"{line}\n{line}\n")
    assert 2 == len(list(read_rows(tmp_path / "rows.jsonl")))
    (tmp_path / "row.jsonl").write_text(f"{line}\n")
    assert [1] == [row["id"] for _, row, _ in read_rows(tmp_path / "row.jsonl")]
