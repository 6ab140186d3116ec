"""Requests that are made up for a model whose own signatures take other inputs than its data have."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import tensorflow as tf

from pipeline.export.saved_model import write_warm_up
from pipeline.export.signatures import make_request, make_warm_up


def model(**inputs):
    """A loaded model with one signature: inputs of (type, shape)."""
    infos = {name: SimpleNamespace(dtype=tf.as_dtype(kind), shape=shape) for name, (kind, shape) in inputs.items()}
    return SimpleNamespace(signatures={"serving_default": SimpleNamespace(inputs=infos)})


def test_raw_inputs_are_taken_where_they_fit():
    raw = {"text": np.array([b"a", b"b"], object)}
    assert raw is make_request(model(text=("string", (-1,))), raw)


def test_other_inputs_are_zeros_and_empty_texts():
    loaded = model(prompt=("string", (-1,)), seed=("int64", (-1,)), share=("float32", (-1, 3)))
    request = make_request(loaded, {"text": np.array([b"a"], object)})
    assert [b""] == request["prompt"].tolist()
    assert ([0], np.int64) == (request["seed"].tolist(), request["seed"].dtype)
    assert (1, 3) == request["share"].shape


def test_they_can_be_written_as_warm_up(tmp_path):
    loaded = model(prompt=("string", (-1,)), seed=("int64", (-1,)))
    write_warm_up(tmp_path, "poet", make_warm_up(loaded, {"text": np.array([b"a"], object)}))
    (file,) = (tmp_path / "assets.extra").iterdir()
    assert file.stat().st_size > 0


def test_a_signature_of_histories_is_not_warmed_up_with_single_rows():
    infos = {rank: SimpleNamespace(dtype=tf.string, shape=(-1,) * rank) for rank in (1, 2)}
    signatures = {"serving_default": 1, "again": 1, "forecast": 2}
    loaded = SimpleNamespace(
        signatures={name: SimpleNamespace(inputs={"day": infos[rank]}) for name, rank in signatures.items()}
    )
    assert {"serving_default", "again"} == make_warm_up(loaded, {"day": np.array([b"2024-01-31"], object)}).keys()
