"""Raw features as `preprocess` gets them: dense, with a value for what is missing."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import tensorflow as tf
import tfx  # noqa: F401  (before TFT, which misses modules without it)
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import schema_utils
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder
from tfx_bsl.tfxio import tensor_representation_util
from tfx_bsl.tfxio.tensor_adapter import TensorAdapter, TensorAdapterConfig

from pipeline.formats.tfrecord import encode_example
from pipeline.steps.schema import bind_schema
from pipeline.steps.transform import squeeze_singles

CELLS = {"float": st.floats(-9, 9, width=32), "int": st.integers(-9, 9), "bytes": st.binary(max_size=3)}
MISSING = {"float": np.nan, "int": 0, "bytes": b""}
DTYPES = {"float": np.float32, "int": np.int64, "bytes": object}
ROWS = 4


@st.composite
def tables(draw):
    """Columns by name: their kind, and their cells, None where one is missing."""
    kinds = draw(st.lists(st.sampled_from(list(CELLS)), min_size=1, max_size=8))
    cells = [draw(st.lists(st.none() | CELLS[kind], min_size=ROWS, max_size=ROWS)) for kind in kinds]
    return {f"c{place}": column for place, column in enumerate(zip(kinds, cells, strict=True))}


@settings(deadline=None)
@given(tables())
def test_columns_that_may_be_missing(table):
    """As Transform reads them from the data, and as the exported model reads them from a request's examples."""
    inferred = schema_pb2.Schema()
    for name, (kind, _) in table.items():
        inferred.feature.add(name=name, type=getattr(schema_pb2, kind.upper()), presence={"min_fraction": 1})
    data = SimpleNamespace(label="label", classes=(), inputs={name: kind for name, (kind, _) in table.items()})
    schema = bind_schema(inferred, data)
    rows = [{name: cells[row] for name, (_, cells) in table.items() if cells[row] is not None} for row in range(ROWS)]
    records = [encode_example(row) for row in rows]

    batch = ExamplesToRecordBatchDecoder(schema.SerializeToString()).DecodeBatch(records)
    representations = tensor_representation_util.InferTensorRepresentationsFromMixedSchema(schema)
    read = TensorAdapter(TensorAdapterConfig(batch.schema, representations)).ToBatchTensors(batch)
    parsed = tf.io.parse_example(records, schema_utils.schema_as_feature_spec(schema).feature_spec)
    for tensors in (squeeze_singles(read), squeeze_singles(parsed)):
        assert table.keys() == tensors.keys()
        for name, (kind, cells) in table.items():
            expected = [MISSING[kind] if cell is None else cell for cell in cells]
            np.testing.assert_array_equal(np.array(expected, DTYPES[kind]), tensors[name].numpy())


def test_transform_finds_the_tensor_of_every_column():
    """A series has vectors without missing values next to texts that may be missing; either may be analyzed."""
    text = """
    feature { name: "day" type: BYTES presence { min_fraction: 1 } }
    feature { name: "sold" type: FLOAT presence { min_fraction: 1 } }
    feature { name: "shops" type: INT presence { min_fraction: 1 } shape { dim { size: 1 } } }
    feature { name: "next" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 7 } } }
    """
    inputs = {"day": "bytes", "sold": "float[28]", "shops": "int"}
    schema = bind_schema(
        text_format.Parse(text, schema_pb2.Schema()), SimpleNamespace(inputs=inputs, label="next", classes=())
    )
    for names in ({"day", "sold"}, {"shops"}, {*inputs, "next"}):
        projected = tensor_representation_util.ProjectTensorRepresentationsInSchema(schema, names)
        assert names == {feature.name for feature in projected.feature}


def test_single_values_and_vectors_keep_their_order():
    vectors, singles = tf.ones([ROWS, 7]), tf.constant([[b"a"]] * ROWS)
    squeezed = squeeze_singles({"v": vectors, "s": singles})
    assert [("v", (ROWS, 7)), ("s", (ROWS,))] == [(name, tuple(x.shape)) for name, x in squeezed.items()]
