import base64
from types import SimpleNamespace

import pytest

from pipeline.evaluation import examples
from pipeline.formats import tfrecord
from serving.core.model import LoadedModel

DATA = SimpleNamespace(classes=("no", "yes"), inputs={"image_bytes": "bytes"}, label="label")


@pytest.fixture
def saved(tmp_path):
    """Writes a SavedModel of one function, and loads it."""
    import tensorflow as tf

    def write(function, dtype, name, signature="serving_default"):
        module = tf.Module()
        module.answer = tf.function(function, input_signature=[tf.TensorSpec([None], dtype, name=name)])
        module.also = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        signatures = {"serving_default": module.also, signature: module.answer}
        tf.saved_model.save(module, str(tmp_path / "model"), signatures=signatures)
        return LoadedModel(tmp_path / "model")

    return write


@pytest.fixture
def split(tmp_path):
    """Writes a test split of two images."""
    import tensorflow as tf

    folder = tmp_path / "Split-test"
    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / "rows")) as writer:
        for label in (b"yes", b"no"):
            cells = {"image_bytes": b"an image", "label": label}
            lists = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in cells.items()}
            writer.write(tf.train.Example(features=tf.train.Features(feature=lists)).SerializeToString())
    return folder


def test_a_generative_model_draws_one_image_for_each_of_the_first_seeds(saved, tmp_path):
    import tensorflow as tf

    model = saved(lambda seed: {"image_bytes": tf.strings.as_string(seed)}, tf.int64, "seed")
    expected = [{"image_bytes": base64.b64encode(str(seed).encode()).decode()} for seed in range(examples.SAMPLE_COUNT)]
    assert expected == examples.sample_examples(model, tmp_path, DATA)


def test_a_classifier_is_asked_about_test_images(saved, split):
    import tensorflow as tf

    def classify(examples):
        rows = tf.size(examples)
        return {"label": tf.fill([rows], "yes"), "probabilities": tf.fill([rows, 2], 0.5)}

    found = examples.sample_examples(saved(classify, tf.string, "examples", "serving_examples"), split, DATA)
    image = base64.b64encode(b"an image").decode()
    answer = {"image_bytes": image, "predicted": "yes", "probability": 0.5}
    assert [{**answer, "label": "no"}, {**answer, "label": "yes"}] == found


@pytest.mark.parametrize("signature", ["serving_default", "serving_examples"])
def test_of_other_models_there_are_no_samples(saved, split, signature):
    import tensorflow as tf

    model = saved(lambda examples: {"score": tf.strings.length(examples)}, tf.string, "examples", signature)
    data = DATA if signature == "serving_examples" else SimpleNamespace(classes=(), inputs={}, label="label")
    assert [] == examples.sample_examples(model, split, data)


def test_samples_are_of_every_class_though_the_split_is_sorted(tmp_path):
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(tmp_path / "rows")) as writer:
        for label in [b"a"] * 200 + [b"b"] * 200 + [b"c"] * 3:
            values = tf.train.Feature(bytes_list=tf.train.BytesList(value=[label]))
            writer.write(tf.train.Example(features=tf.train.Features(feature={"label": values})).SerializeToString())
    labels = [tfrecord.parse_features(record)["label"] for record in examples._spread_records(tmp_path, "label")]
    assert [b"a"] * 19 + [b"b"] * 18 + [b"c"] * 3 == labels
