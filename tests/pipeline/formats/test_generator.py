"""Rows that a function makes."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import PipelineError
from pipeline.formats.base import Example
from pipeline.formats.generator import Generator

COLUMNS = {"x": "float", "wave": "float[2]"}


def rows(data):
    yield {"x": np.float32(0.5), "wave": np.array([1, 2]), "y": "a", "who": "me"}
    yield {"x": None, "wave": [1, 2], "y": "a", "who": "me"}
    yield Example("mine", {"x": 1.0, "y": b"a"}, split="test")
    yield {"x": "much", "wave": [1, 2], "y": "a"}
    yield 7


def test_mappings_examples_and_what_is_neither(tmp_path):
    data = Generator(rows, COLUMNS, "y", ("a",), extra={"who": "bytes"})
    one, two, three, four, five = data.examples(tmp_path)
    assert (0.5, b"a", b"me") == (one.features["x"], one.features["y"], one.features["who"])
    assert [1.0, 2.0] == list(one.features["wave"])
    assert {"wave", "y", "who"} == two.features.keys()
    assert ("mine", "test") == (three.source, three.split)
    assert "column x is not of kind float: 'much'" == four.fault
    assert "rows() row 4" == four.source
    assert "not an Example nor a mapping: int" == five.fault
    assert COLUMNS == data.inputs
    assert [] == data.files(tmp_path)


def test_function_gets_the_data_folder_and_names_what_it_reads(tmp_path):
    def lines(data):
        yield from ({"x": line, "y": 1} for line in (data / "t.txt").read_text().split())

    data = Generator(lines, {"x": "int"}, "y", reads=("t.txt",))
    with pytest.raises(PipelineError, match=r"a file or folder that lines\(\) reads"):
        data.files(tmp_path)
    (tmp_path / "t.txt").write_text("1 2")
    assert [tmp_path / "t.txt"] == data.files(tmp_path)
    assert [{"x": 1, "y": 1.0}, {"x": 2, "y": 1.0}] == [one.features for one in data.examples(tmp_path)]


def test_function_that_fails(tmp_path):
    def broken(data):
        yield {"x": 1, "y": 1}
        raise KeyError("z")

    with pytest.raises(PipelineError, match=r"(?s)broken\(\) of the recipe fails after row 1\..*KeyError: 'z'"):
        list(Generator(broken, {"x": "int"}, "y").examples(tmp_path))


def test_a_function_that_does_not_end_is_refused(tmp_path):
    def endless(_):
        while True:
            yield {"x": 1.0, "wave": [1, 2], "y": 1.0}

    data = Generator(endless, COLUMNS, "y", max_rows=20)
    with pytest.raises(PipelineError, match=r"(?s)endless\(\) of the recipe does not end.*max_rows="):
        list(data.examples(tmp_path))
    assert 20 == sum(1 for _ in Generator(lambda _: [{"y": 1.0}] * 20, {}, "y", max_rows=20).examples(tmp_path))
