"""The signature `explain` of small networks of each kind."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from pipeline.export import attribution_names, saved_model, signatures
from pipeline.features.text import words
from pipeline.recipe import Recipe

pytestmark = pytest.mark.heavy

RANDOM = np.random.default_rng(11)
CLASSES = ("no", "yes")
KNOWN = ["the", "film", "was", "good", "bad", "not", "very", "long", "and", "dull", "bright"]
TEXTS = np.array([b"The film was good!", b"not good", b"", b"very, very long and dull: a bad unknownword"], object)


def served(model, inputs, transform, sample, *, classes=CLASSES, **recipe):
    """A network behind a preprocessing of plain TensorFlow, as the train step hands it to the export."""
    data = SimpleNamespace(classes=classes, inputs=inputs, label="label")
    kinds = {"float": tf.float32, "int": tf.int64, "bytes": tf.string}
    shapes = {name: () if np.ndim(value) == 1 else np.shape(value)[1:] for name, value in sample.items()}
    spec = {name: tf.io.FixedLenFeature(shapes[name], kinds[kind.partition("[")[0]]) for name, kind in inputs.items()}
    made = Recipe(data=data, params=None, preprocess=None, build=None, **recipe)
    return signatures.ServingModel(made, model, transform, spec, sample)


def explained(parts, count=4):
    """The answer of the signature as a graph of its own, and the network's probabilities or values."""
    function, _ = saved_model.make_endpoints(parts)["explain"]
    asked = {name: tf.constant(value[:count]) for name, value in parts.sample.items()}
    return {name: value.numpy() for name, value in function(*asked.values()).items()}


def require_complete(answer):
    change = answer["score"] - answer["baseline_score"]
    sums = answer["attributions"].reshape(len(change), -1).sum(axis=1)
    np.testing.assert_allclose(sums, change, rtol=0.01, atol=1e-5)
    np.testing.assert_allclose(sums - change, answer["completeness_gap"], atol=1e-5)


def softmax(x):
    return layers.Dense(len(CLASSES), activation="softmax", kernel_initializer=large())(x)


def large():
    """Weights with which answers differ: as small as they begin, all are alike."""
    return keras.initializers.RandomNormal(stddev=1.0, seed=int(RANDOM.integers(1000)))


def image():
    x = keras.Input((6, 5, 3), name="image")
    y = layers.MaxPooling2D()(layers.Conv2D(8, 3, activation="relu", kernel_initializer=large())(x))
    model = keras.Model({"image": x}, softmax(layers.Flatten()(y)))
    sample = {"pixels": RANDOM.uniform(size=(9, 6, 5, 3)).astype(np.float32)}
    return served(model, {"pixels": "float[6,5,3]"}, lambda raw: {"image": raw["pixels"]}, sample)


def test_image():
    parts = image()
    answer = explained(parts)
    assert (4, 6, 5, 3) == answer["attributions"].shape
    require_complete(answer)
    probabilities = parts.model({"image": parts.sample["pixels"][:4]}).numpy()
    np.testing.assert_allclose(probabilities.max(axis=1), answer["score"], atol=1e-6)
    assert [CLASSES[i].encode() for i in probabilities.argmax(axis=1)] == answer["label"].tolist()
    black = parts.model({"image": np.zeros((4, 6, 5, 3), np.float32)}).numpy()
    np.testing.assert_allclose(black[range(4), probabilities.argmax(axis=1)], answer["baseline_score"], atol=1e-6)


def table(*, classes=CLASSES):
    colour, numbers = keras.Input((), name="colour", dtype="int64"), keras.Input((3,), name="numbers")
    x = layers.Concatenate()([layers.Embedding(4, 5, embeddings_initializer=large())(colour), numbers])
    x = layers.Dense(16, activation="relu", kernel_initializer=large())(x)
    model = keras.Model({"colour": colour, "numbers": numbers}, softmax(x) if classes else layers.Dense(1)(x))

    def transform(raw):
        a, b = raw["a"], raw["b"]
        number = tf.argmax(tf.equal(raw["colour"][:, None], [["red", "green", "blue"]]), axis=1)
        return {"colour": number, "numbers": tf.stack([a / 2, b - 1, a * b], axis=1)}

    sample = {
        "a": RANDOM.normal(size=8).astype(np.float32),
        "b": RANDOM.normal(size=8).astype(np.float32),
        "colour": np.array([b"red", b"blue", b"green", b"red"] * 2, object),
        "unused": np.arange(8),
    }
    inputs = {"a": "float", "b": "float", "colour": "bytes", "unused": "int"}
    return served(model, inputs, transform, sample, classes=classes)


def test_table_tells_its_columns():
    answer = explained(table())
    assert [b"a", b"b", b"a, b", b"colour"] == answer["columns"][0].tolist()
    assert (4, 4) == answer["attributions"].shape
    require_complete(answer)


def test_regression_has_no_label():
    parts = table(classes=())
    answer = explained(parts)
    assert "label" not in answer
    require_complete(answer)
    features = parts.features({name: tf.constant(value[:4]) for name, value in parts.sample.items()})
    np.testing.assert_allclose(np.ravel(parts.model(features)), answer["score"], atol=1e-5)


def ids(raw):
    """Words (batch,) to numbers from 2 on, 1 for others, 0 after the end: (batch, 8)."""
    first = words(raw["text"]).to_tensor("", shape=[None, 8])
    same = tf.equal(first[..., None], KNOWN)
    number = tf.where(tf.reduce_any(same, axis=-1), tf.argmax(tf.cast(same, tf.int32), axis=-1) + 2, 1)
    return {"words": tf.where(first == "", tf.constant(0, tf.int64), number)}


def text(build):
    x = keras.Input((8,), name="words", dtype="int64")
    return served(keras.Model({"words": x}, softmax(build(x))), {"text": "bytes"}, ids, {"text": TEXTS})


def masked(x):
    """As Keras hands a mask on: by the Embedding."""
    return layers.LSTM(6)(layers.Embedding(20, 4, mask_zero=True, embeddings_initializer=large())(x))


def explicit(x):
    """As a recipe may do it: a mask from the positions, and places beside the meanings."""
    there = ops.not_equal(x, 0)
    places = layers.Embedding(8, 4, embeddings_initializer=large())(ops.cumsum(ops.ones_like(x), axis=1) - 1)
    y = layers.Embedding(20, 4, embeddings_initializer=large())(x) + places
    return layers.Bidirectional(layers.GRU(6))(y, mask=there)


def unmasked(x):
    return layers.GlobalAveragePooling1D()(layers.Embedding(20, 4, embeddings_initializer=large())(x))


def test_texts_with_one_embedding_are_named_by_their_columns():
    """As in recipes for tables with several texts, also where all texts of the sample are shorter than those asked."""
    columns = ("title", "note", "remark")
    x = {name: keras.Input((8,), name=name, dtype="int64") for name in columns}
    embedding = layers.Embedding(60, 4, embeddings_initializer=large())
    model = keras.Model(
        x, softmax(layers.Concatenate()([layers.GlobalAveragePooling1D()(embedding(x[name])) for name in columns]))
    )

    def transform(raw):
        return {name: ids({"text": raw[name]})["words"] + 20 * place for place, name in enumerate(columns)}

    sample = {"title": TEXTS, "note": TEXTS[::-1].copy(), "remark": np.array([b"good", b"bad", b"", b"very"], object)}
    parts = served(model, dict.fromkeys(columns, "bytes"), transform, sample)
    answer = explained(parts)
    assert sorted(columns) == sorted(name.decode() for name in answer["columns"][0])
    require_complete(answer)
    features = parts.features({name: tf.constant(value) for name, value in sample.items()})
    np.testing.assert_allclose(parts.model(features).numpy().max(axis=1), answer["score"], atol=1e-5)


@pytest.mark.parametrize("build", [masked, explicit, unmasked])
def test_text(build):
    parts = text(build)
    answer = explained(parts)
    require_complete(answer)
    assert [b"the", b"film", b"was", b"good", b"!", b"", b"", b""] == answer["tokens"][0].tolist()
    there = answer["tokens"] != b""
    assert np.all(answer["attributions"][there] != 0)
    if build is not unmasked:
        np.testing.assert_array_equal(0, answer["attributions"][~there])
    features = parts.features({"text": tf.constant(TEXTS)})
    np.testing.assert_allclose(parts.model(features).numpy().max(axis=1), answer["score"], atol=1e-6)


def test_the_path_of_a_text_is_that_of_its_vectors():
    """For a network that is linear up to its last layer the attributions are shares of the logit, by hand."""
    parts = text(unmasked)
    answer, row = explained(parts), 0
    embedding, _, last = parts.model.layers[1:]
    label = CLASSES.index(answer["label"][row].decode())
    vectors = embedding(ids({"text": tf.constant(TEXTS)})["words"]).numpy()[row] / 8
    kernel = last.kernel.numpy()
    logits = vectors @ (kernel[:, label] - kernel[:, 1 - label])  # of two classes the difference decides
    change = answer["score"][row] - answer["baseline_score"][row]
    np.testing.assert_allclose(answer["attributions"][row], logits / logits.sum() * change, rtol=0.02, atol=1e-4)


@pytest.mark.parametrize("make", [image, table, lambda: text(masked)], ids=["image", "table", "text"])
def test_rows_stand_alone_and_come_again_to_the_last_bit(make):
    parts = make()
    together, again = explained(parts), explained(parts)
    function, _ = saved_model.make_endpoints(parts)["explain"]
    for row in range(4):
        alone = function(*(tf.constant(value[row : row + 1]) for value in parts.sample.values()))
        for name, values in together.items():
            assert values[row : row + 1].tolist() == alone[name].numpy().tolist(), name
            assert values.tolist() == again[name].tolist(), name


def series(outputs, **recipe):
    x = keras.Input((7,), name="beat")
    model = keras.Model({"beat": x}, layers.Dense(7, activation="tanh", kernel_initializer=large())(x))
    sample = {"beat": RANDOM.normal(size=(5, 7)).astype(np.float32)}
    return served(model, {"beat": "float[7]"}, dict, sample, classes=(), outputs=outputs, **recipe)


def error(model, features):
    drawn = model(features, training=False)
    return {"score": tf.reduce_mean((features["beat"] - drawn) ** 2, axis=1), "drawn": drawn}


def test_an_output_of_the_recipe_is_explained_where_its_metrics_are_of_it():
    parts = series(error, predicted="score")
    answer = explained(parts)
    require_complete(answer)
    np.testing.assert_allclose(
        error(parts.model, {"beat": parts.sample["beat"][:4]})["score"], answer["score"], atol=1e-5
    )


def test_the_recipe_says_what_is_explained_where_its_answer_has_no_gradient():
    parts = series(
        lambda model, features: {"count": tf.cast(features["rounds"], tf.float32)},
        predicted="count",
        explained=lambda model, features: tf.reduce_max(model({"beat": features["beat"]}), axis=1),
    )
    parts = replace(parts, transform=lambda raw: {**raw, "rounds": tf.ones_like(raw["beat"][:, 0], tf.int64)})
    answer = explained(parts)
    require_complete(answer)
    largest = parts.model({"beat": parts.sample["beat"][:4]}).numpy().max(axis=1)
    np.testing.assert_allclose(largest, answer["score"], atol=1e-6)


def test_several_numbers_are_explained_by_their_mean():
    parts = series(lambda model, features: {"forecast": model(features, training=False)})
    answer = explained(parts)
    require_complete(answer)
    np.testing.assert_allclose(
        parts.model({"beat": parts.sample["beat"][:4]}).numpy().mean(axis=1), answer["score"], atol=1e-6
    )


def one_hot(x):
    return layers.Flatten()(layers.CategoryEncoding(20, output_mode="multi_hot")(x))


def drawn(seed):
    return {"value": tf.cast(seed, tf.float32)}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: series(error), "it has several outputs (score, drawn)"),
        (lambda: text(one_hot), "words (int64) enters the network without an Embedding"),
        (
            lambda: series(
                error,
                predicted="score",
                signatures=lambda _: {"serving_default": (drawn, [tf.TensorSpec([None], tf.int64, "seed")])},
            ),
            "serving_default takes other inputs",
        ),
        (lambda: series(lambda model, features: {"count": tf.round(features["beat"][:, 0])}), "has no gradient"),
    ],
    ids=["outputs", "one-hot", "seed", "steps"],
)
def test_what_cannot_be_explained_is_left_out_and_says_why(make, reason, caplog):
    with caplog.at_level(logging.WARNING):
        assert "explain" not in saved_model.make_endpoints(make())
    assert reason in caplog.text


def test_words_that_do_not_fit_the_numbers_are_not_shown():
    parts = text(unmasked)
    backwards = lambda raw: {"words": ids(raw)["words"][:, ::-1]}  # noqa: E731
    other = served(parts.model, {"text": "bytes"}, backwards, {"text": TEXTS})
    assert attribution_names.find_tokenizer(other, "words") is None
    assert "tokens" not in explained(other)


def test_the_recipe_says_the_texts_of_pieces_of_words():
    def tokens():
        return ["", *(f"##{number}" for number in range(1, 20))]

    parts = served(text(unmasked).model, {"text": "bytes"}, ids, {"text": TEXTS}, tokens=tokens)
    numbers = ids({"text": tf.constant(TEXTS[:4])})["words"].numpy()
    expected = [[f"##{number}".encode() if number else b"" for number in row] for row in numbers.tolist()]
    assert expected == explained(parts)["tokens"].tolist()


def test_pairs_of_neighbours_are_shown_as_pairs():
    def pairs(raw):
        first = words(raw["text"])[:, :4]
        terms = tf.concat([first, tf.strings.ngrams(first, 2)], axis=1).to_tensor("", shape=[None, 8])
        number = tf.strings.to_hash_bucket_fast(terms, 10_000) % 17 + 2  # of these few words none shares a number
        return {"words": tf.where(terms == "", tf.constant(0, tf.int64), number)}

    other = served(text(unmasked).model, {"text": "bytes"}, pairs, {"text": TEXTS})
    expected = [b"not", b"good", b"not good", b"", b"", b"", b"", b""]
    assert expected == explained(other)["tokens"][1].tolist()


def test_without_a_sample_there_is_no_explanation():
    parts = image()
    assert "explain" not in saved_model.make_endpoints(
        signatures.ServingModel(parts.recipe, parts.model, parts.transform, parts.spec)
    )
