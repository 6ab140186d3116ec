"""The part of Transform's graph that gives the features: it needs no target, and decodes none."""

from __future__ import annotations

import pytest
import tensorflow as tf
import tfx  # noqa: F401  (before TFT, which misses modules without it)

from pipeline.export.transform_graph import cut_targets
from pipeline.features.targets import PREFIX
from serving.core.graph import find_decoders, find_unchecked_decoders

pytestmark = pytest.mark.heavy

TEXTS = tf.TensorSpec([None], tf.string)


def make_transform():
    """A feature with a table and a check, and a target that is decoded as it comes, as in `models/nuclei.py`."""
    words = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([0, 1], tf.int64))
    table = tf.lookup.StaticHashTable(words, -1)

    @tf.function(input_signature=[{"text": TEXTS, "mask_bytes": TEXTS}])
    def transform(inputs):
        check = tf.debugging.assert_less(tf.strings.length(inputs["text"]), 5, "the text is long")
        with tf.control_dependencies([check]):
            word = table.lookup(inputs["text"])
        pixels = tf.TensorSpec((2, 2, 1), tf.uint8)
        mask = tf.map_fn(
            lambda one: tf.ensure_shape(tf.io.decode_image(one, 1), pixels.shape),
            inputs["mask_bytes"],
            fn_output_signature=pixels,
        )
        return {"word": word, PREFIX + "mask": mask}

    return table, transform


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    """Transform's layer, which reads the graph as Transform has written it."""
    import tensorflow_transform as tft
    from tensorflow_transform.saved import saved_transform_io_v2

    folder, module = tmp_path_factory.mktemp("transform"), tf.Module()
    module.table, transform = make_transform()
    saved_transform_io_v2.write_v2_saved_model(module, transform, "transform_fn", str(folder / "transform_fn"))
    return tft.TFTransformOutput(str(folder)).transform_features_layer()


def test_the_features_are_those_of_the_whole_graph(layer):
    masks = [tf.io.encode_png(tf.zeros((2, 2, 1), tf.uint8)).numpy()] * 2
    whole = layer({"text": tf.constant([b"a", b"b"]), "mask_bytes": tf.constant(masks)})
    assert {"word", PREFIX + "mask"} == set(whole)
    found = cut_targets(layer)({"text": tf.constant([b"a", b"b", b"?"])})
    assert {"word": [*whole["word"].numpy().tolist(), -1]} == {name: x.numpy().tolist() for name, x in found.items()}


def test_the_checks_of_the_features_remain(layer):
    with pytest.raises(tf.errors.InvalidArgumentError, match="the text is long"):
        cut_targets(layer)({"text": tf.constant([b"aaaaaa"])})


@pytest.mark.parametrize("way", ["cut", "whole"])
def test_no_signature_decodes_a_target(layer, tmp_path, way):
    """Transform's own layer makes up the targets that it is not given, and decodes them."""
    features = cut_targets(layer) if way == "cut" else layer
    module = tf.Module()
    module.layer = layer
    spec = tf.TensorSpec([None], tf.string, name="text")
    module.run = tf.function(lambda text: {"word": features({"text": text})["word"]}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.run})
    assert {"DecodeImage"} == find_decoders(tmp_path)  # the layer is saved with its whole graph
    assert (set() if way == "cut" else {"DecodeImage"}) == find_unchecked_decoders(tmp_path)
