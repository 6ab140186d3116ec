"""Decoders that see unchecked bytes are found in a SavedModel's file."""

from __future__ import annotations

import pytest
import tensorflow as tf

from pipeline.features import audio, image
from serving.core.graph import find_decoders, find_unchecked_decoders

GRAPHS = {
    "checked images": (lambda x: image.decode(x, (8, 8, 1)), {"DecodeImage"}, set()),
    "checked images of any size": (lambda x: image.decode(x, (8, 8, 3), resize=True), {"DecodeImage"}, set()),
    "checked recordings": (lambda x: audio.decode(x, 100, 8000), {"DecodeWav"}, set()),
    "images": (
        lambda x: tf.map_fn(lambda one: tf.io.decode_image(one)[:1, :1, 0], x, fn_output_signature=tf.uint8),
        {"DecodeImage"},
        {"DecodeImage"},
    ),
    "PNG": (lambda x: tf.cast(tf.io.decode_png(x[0]), tf.int32), {"DecodePng"}, {"DecodePng"}),
    "texts": (tf.strings.length, set(), set()),
}


@pytest.mark.parametrize(("graph", "decoders", "unchecked"), GRAPHS.values(), ids=GRAPHS)
def test_decoders_are_found_by_their_nodes(tmp_path, graph, decoders, unchecked):
    module = tf.Module()
    module.run = tf.function(lambda x: {"y": graph(x)}, input_signature=[tf.TensorSpec([None], tf.string, name="x")])
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.run})
    assert decoders == find_decoders(tmp_path)
    assert unchecked == find_unchecked_decoders(tmp_path)


def test_a_decoder_that_no_request_reaches_is_not_named(tmp_path):
    """A function that is saved and that no signature calls: Transform's graph of the targets is one."""
    module = tf.Module()
    spec = [tf.TensorSpec([], tf.string, name="x")]
    module.unused = tf.function(lambda x: tf.io.decode_png(x)[0], input_signature=spec)
    module.run = tf.function(lambda x: {"y": tf.strings.length(x)}, input_signature=spec)
    tf.saved_model.save(module, str(tmp_path / "unused"), signatures={"serving_default": module.run})
    assert ({"DecodePng"}, set()) == (find_decoders(tmp_path / "unused"), find_unchecked_decoders(tmp_path / "unused"))
    module.inner = tf.function(lambda x: {"y": module.unused(x)[0, 0]}, input_signature=spec)
    signatures = {"serving_default": module.run, "other": module.inner}
    tf.saved_model.save(module, str(tmp_path / "used"), signatures=signatures)
    assert {"DecodePng"} == find_unchecked_decoders(tmp_path / "used")


def test_decoders_of_a_file_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\x0a\x03abc\x12\x09DecodePng")
    assert {"DecodePng"} == find_unchecked_decoders(tmp_path)


def test_a_folder_without_a_model_has_none(tmp_path):
    assert set() == find_decoders(tmp_path)
