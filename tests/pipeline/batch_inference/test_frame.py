"""A DataFrame is answered as a file with its rows is."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from pipeline.batch_inference import frame
from pipeline.errors import PipelineError
from pipeline.store import champions
from pipeline.store.champions import ModelVersion
from pipeline.store.layout import Workspace

pytestmark = pytest.mark.heavy
FORECAST = {
    "time": ["day"],
    "time_input": "day",
    "key": ["shop"],
    "order": "",
    "numbers": {"sold": "sold"},
    "texts": {},
    "target": "sold",
    "length": 3,
    "horizon": 2,
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A table's model, which adds a number and the length of a text, and a series', which repeats the last value."""
    import tensorflow as tf

    def add(amount, kind):
        return {"label": amount + tf.cast(tf.strings.length(kind), tf.float32)}

    def repeat(day, sold):
        times = tf.tile(day[:, -1:], [1, 2])
        return {"forecast": tf.tile(sold[:, -1:], [1, 2]), "time": times}

    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    scalars = {"amount": tf.TensorSpec([None], tf.float32), "kind": tf.TensorSpec([None], tf.string)}
    rows = {"day": tf.TensorSpec([None, None], tf.string), "sold": tf.TensorSpec([None, None], tf.float32)}
    columns = {"columns": {"amount": "Amount (EUR)"}, "optional": ["kind"], "target": "total"}
    _publish(tf, workspace, "prices", {"serving_default": (add, scalars)}, {"columns.json": columns})
    signatures = {"serving_default": (repeat, rows), "forecast": (repeat, rows)}
    _publish(tf, workspace, "sales", signatures, {"forecast.json": FORECAST})
    return workspace


def _publish(tf, workspace, name, signatures, files):
    module = tf.Module()
    functions = {
        key: tf.function(lambda f=function, **inputs: f(**inputs)).get_concrete_function(
            **{each: tf.TensorSpec(spec.shape, spec.dtype, name=each) for each, spec in specs.items()}
        )
        for key, (function, specs) in signatures.items()
    }
    folder = workspace.model(name, 1)
    tf.saved_model.save(module, str(folder), signatures=functions)
    (folder / "assets.extra").mkdir()
    for file, content in files.items():
        (folder / "assets.extra" / file).write_text(json.dumps(content))
    champions.set_champion(workspace, name, ModelVersion(1, "run", "digest"))


def test_columns_may_be_those_of_the_table_or_the_recipe(workspace):
    table = pd.DataFrame({"Amount (EUR)": [1.5, 2.0], "kind": ["ab", None], "more": [1, 2]})
    answers = frame.predict_frame("prices", table, workspace.root)
    assert answers["predicted_total"].tolist() == [3.5, 2.0]
    renamed = table.rename(columns={"Amount (EUR)": "amount"})
    assert frame.predict_frame("prices", renamed, workspace.root, version=1)["predicted_total"].tolist() == [3.5, 2.0]


@pytest.mark.parametrize("write", [lambda days: days, lambda days: days.dt.strftime("%Y-%m-%d")])
def test_a_history_gives_the_next_steps_of_each_series(workspace, write):
    days = pd.Series(pd.date_range("2024-01-01", periods=4).repeat(2))
    table = pd.DataFrame({"day": write(days), "shop": ["a", "b"] * 4, "sold": np.arange(8.0)})
    answers = frame.predict_frame("sales", table.sample(frac=1, random_state=1), workspace.root)
    assert dict(answers.groupby("shop")["predicted_sold"].apply(list)) == {"a": [6.0, 6.0], "b": [7.0, 7.0]}
    assert set(answers["day"]) == {"2024-01-04"}


@pytest.mark.parametrize(
    ("name", "table", "options", "words"),
    [
        ("nothing", {"amount": [1.0]}, {}, "There is no champion named 'nothing'"),
        ("prices", {"amount": [1.0]}, {"version": 7}, "There is no version 7 of 'prices'"),
        ("prices", {"kind": ["a"]}, {}, "the DataFrame lacks"),
        ("prices", {"amount": [1.0, "x"], "kind": ["a", "b"]}, {}, "The DataFrame cannot be read"),
        ("prices", {"amount": ["1", "x"], "kind": ["a", "b"]}, {}, "1 of 2 rows cannot be read"),
        ("prices", {"amount": [], "kind": []}, {}, "There are no rows in the DataFrame"),
        ("sales", {"day": ["2024-01-01"], "shop": ["a"]}, {}, "the DataFrame lacks"),
    ],
)
def test_what_cannot_be_answered_is_said(workspace, name, table, options, words):
    with pytest.raises(PipelineError) as caught:
        frame.predict_frame(name, pd.DataFrame(table), workspace.root, **options)
    assert words in str(caught.value)
    assert "/tmp" not in str(caught.value).replace(str(workspace.root), "")


def test_workspace_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASPIPE_WORKSPACE", str(tmp_path / "elsewhere"))
    with pytest.raises(PipelineError, match=r"'plain' in .*elsewhere"):
        frame.predict_frame("plain", None)
