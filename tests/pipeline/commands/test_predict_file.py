"""What `predict --file` prints."""

from __future__ import annotations

import io
import json
from argparse import ArgumentParser
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.commands import _predict_file
from pipeline.commands._predict_file import Source
from serving.core.signature import Signature, TensorInfo
from serving.wire import dtypes

FLOAT = dtypes.from_number(1)
SIGNATURE = Signature(
    "serving_default", "predict", {"x": TensorInfo("x", FLOAT, (-1,))}, {"y": TensorInfo("y", FLOAT, (-1,))}, {}
)


@pytest.fixture
def printed(tmp_path):
    """Predicts for a table as text, of a model with the one input `x`; answers with what is printed."""

    def call(text, *flags):
        (tmp_path / "rows.csv").write_text(text)
        parser = ArgumentParser()
        _predict_file.arguments(parser)
        options = parser.parse_args([f"--file={tmp_path / 'rows.csv'}", f"--out={tmp_path / 'out.csv'}"])
        options.name, options.signature, options.json = "plain", "serving_default", "--json" in flags
        source = Source({"serving_default": SIGNATURE}, lambda _, inputs: {"y": np.asarray(inputs["x"], np.float32)})
        terminal = SimpleNamespace(out=io.StringIO(), err=io.StringIO())
        assert 0 == _predict_file.predict_file(options, source, terminal)
        return terminal.out.getvalue()

    return call


def test_columns_that_the_model_does_not_use_are_named(printed):
    text = printed("note,x,more\na,1,b\n")
    assert "Columns that the model does not use: note, more.\n" in text
    assert text.startswith("1 rows in ")


def test_of_many_columns_the_first_are_named(printed):
    names = [f"c{place}" for place in range(13)]
    text = printed(f"x,{','.join(names)}\n1{',0' * 13}\n")
    assert f"does not use: {', '.join(names[:10])} and 3 more.\n" in text


def test_nothing_is_said_of_columns_that_are_all_used(printed):
    assert "does not use" not in printed("x\n1\n")


def test_the_columns_are_also_in_json(printed):
    assert ["note"] == json.loads(printed("note,x\na,1\n", "--json"))["unused"]
