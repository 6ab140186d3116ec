"""The recipe cifar_simclr: its views, its loss, its memory, and what is fitted after the training."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import _simclr, cifar_simclr
from pipeline.evaluation.metrics.representation import fit_probe
from pipeline.features.image import encode_png
from pipeline.recipe import Spec

CLASSES = cifar_simclr.DATA.classes
PARAMS = dataclasses.replace(cifar_simclr.Params(), filters=(4, 4, 8), projection=4, remembered=24)
RANDOM = np.random.default_rng(0)
LABELS = np.arange(20) % len(CLASSES)
# Each class has a colour and a direction of stripes.
IMAGES = np.tile(RANDOM.uniform(0, 1, (len(CLASSES), 8, 1, 3)), (2, 4, 32, 1)).astype(np.float32)
IMAGES[LABELS % 2 == 1] = IMAGES[LABELS % 2 == 1].swapaxes(1, 2)
IMAGES = (IMAGES + RANDOM.uniform(0, 0.02, IMAGES.shape).astype(np.float32)).clip(0, 1)

pytestmark = pytest.mark.heavy


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr(cifar_simclr, "SUPERVISED_STEPS", 3)
    keras.utils.set_random_seed(1)
    model = cifar_simclr.build(PARAMS, Spec({"image": ((32, 32, 3), "float32")}, CLASSES, 10))
    model({"image": IMAGES})
    model.optimizer.build(model.trainable_variables)
    return model


def rows():
    return tf.data.Dataset.from_tensor_slices(({"image": IMAGES}, LABELS)).batch(8)


def nt_xent(vectors, temperature):
    """Equation 1 of the paper, one pair after the other."""
    count = len(vectors) // 2
    losses = []
    for row, own in enumerate(vectors):
        others = [np.exp(own @ vectors[k] / temperature) for k in range(2 * count) if k != row]
        losses.append(-np.log(np.exp(own @ vectors[(row + count) % (2 * count)] / temperature) / sum(others)))
    return np.mean(losses)


def test_loss_is_equation_1_of_the_paper(model):
    vectors = RANDOM.normal(size=(10, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    loss = model.compute_loss(y_pred=tf.constant(vectors, tf.float32))
    assert pytest.approx(nt_xent(vectors, PARAMS.temperature), rel=1e-5) == float(loss)


def test_views_that_are_told_apart_cost_less_than_views_that_are_all_alike(model):
    apart, alike = np.tile(np.eye(4), (2, 1)), np.ones((8, 4)) / 2
    costs = [float(model.compute_loss(y_pred=tf.constant(vectors, tf.float32))) for vectors in (apart, alike)]
    assert costs[0] < 0.1
    assert pytest.approx(np.log(7), rel=1e-5) == costs[1]


def test_both_views_of_an_image_differ_and_new_ones_are_drawn(model):
    views = _simclr.Views(0.2, 0.5)
    first, second = (views(IMAGES, training=True).numpy() for _ in range(2))
    assert IMAGES.shape == first.shape
    assert (0, 1) == (first.min().round(), first.max().round())
    assert (np.abs(first - second).mean(axis=(1, 2, 3)) > 0.01).all()
    answers = model({"image": IMAGES}, training=True).numpy()
    assert (40, 4) == answers.shape
    assert (np.abs(answers[:20] - answers[20:]).max(axis=1) > 1e-3).all()


def test_views_outside_of_training_are_always_the_same():
    first, second = (_simclr.Views(0.2, 0.5)(IMAGES).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - IMAGES).max() > 0.1


def test_a_view_of_all_without_a_change_of_colours_is_the_image_or_its_mirror_or_grey(monkeypatch):
    monkeypatch.setattr(_simclr, "ASPECT", 0.0)
    seen = _simclr.Views(1.0, 0.0)(np.repeat(IMAGES, 5, axis=0)).numpy()
    whole = np.repeat(IMAGES, 5, axis=0)
    grey = np.repeat(whole @ _simclr.YIQ[:, :1], 3, axis=-1)
    candidates = [whole, whole[:, :, ::-1], grey, grey[:, :, ::-1]]
    misses = np.array([np.abs(seen - other).max(axis=(1, 2, 3)) for other in candidates])  # (4, 100)
    assert misses.min(axis=0).max() < 1e-3
    assert {0, 1, 2, 3} == set(misses.argmin(axis=0))


def test_neighbours_are_the_nearest_images_with_their_rows_and_labels(model):
    cifar_simclr.finish(model, rows())
    answer = ask(model, "neighbours", IMAGES)
    assert list(range(20)) == answer["row"][:, 0].tolist()
    np.testing.assert_allclose(1.0, answer["similarity"][:, 0], atol=1e-5)
    vectors = cifar_simclr.outputs(model, {"image": tf.constant(read(IMAGES))})["embedding"].numpy()
    np.testing.assert_allclose(1.0, np.linalg.norm(vectors, axis=1), rtol=1e-5)
    expected = -np.sort(-(vectors @ model.memory.numpy()[:20].T), axis=1)[:, : _simclr.NEAREST]
    np.testing.assert_allclose(expected, answer["similarity"], atol=1e-5)
    assert [[CLASSES[LABELS[row]].encode() for row in near] for near in answer["row"]] == answer["label"].tolist()


def test_empty_places_of_the_memory_are_no_neighbours(model):
    model.remember(-np.eye(8)[:6], np.arange(6))
    similarity, row = model.find_nearest(tf.eye(8)[0])
    assert [1, 2, 3, 4, 5] == row.numpy().tolist()
    assert [0.0] * 5 == similarity.numpy().tolist()


def read(images):
    return (images * 255).round() / 255


def ask(model, signature, images):
    """What a signature answers for encoded images."""
    served = SimpleNamespace(model=model, features=lambda raw: cifar_simclr.preprocess(raw, PARAMS))
    function, _ = cifar_simclr.signatures(served)[signature]
    content = [encode_png((image * 255).round().astype(np.uint8)) for image in images]
    return {name: value.numpy() for name, value in function(tf.constant(content)).items()}


def likeliest(vectors, kernel, bias):
    return [CLASSES[place].encode() for place in (vectors @ kernel + bias).argmax(axis=1)]


def test_probes_are_fitted_to_embeddings_of_all_rows_of_a_few_and_of_the_untrained_network(model):
    first = model.encoder.get_weights()
    model.encoder.set_weights([weight + RANDOM.normal(size=weight.shape) / 10 for weight in first])
    cifar_simclr.finish(model, rows())
    own, other = (model.embed(read(IMAGES), encoder).numpy() for encoder in (model.encoder, model.untrained))
    answer, rivals = (ask(model, signature, IMAGES) for signature in ("classify", "compare"))
    assert {"few_labels", "supervised", "untrained"} == set(rivals)
    np.testing.assert_allclose(1.0, answer["probabilities"].sum(axis=1), rtol=1e-5)
    assert likeliest(own, *fit_probe(model.memory.numpy()[:20], LABELS, 10)) == answer["label"].tolist()
    assert likeliest(own, *fit_probe(model.memory.numpy()[:10], LABELS[:10], 10)) == rivals["few_labels"].tolist()
    embedded = model.embed(IMAGES, model.untrained).numpy()
    assert likeliest(other, *fit_probe(embedded, LABELS, 10)) == rivals["untrained"].tolist()


def test_only_the_supervised_rival_learns_after_the_training(model):
    before = model.encoder.get_weights(), model.supervised.get_weights()
    cifar_simclr.finish(model, rows())
    for old, new in zip(before[0], model.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert np.abs(before[1][0] - model.supervised.get_weights()[0]).max() > 0
    assert not model.supervised.trainable


def test_rivals_begin_with_the_same_weights_and_do_not_learn_with_it(model):
    first = model.encoder.get_weights()
    for old, new in zip(first, model.supervised.layers[0].get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    model.fit(rows(), epochs=1, shuffle=False, verbose=0)
    assert np.abs(first[0] - model.encoder.get_weights()[0]).max() > 0
    for network in (model.untrained, model.supervised.layers[0]):
        for old, new in zip(first, network.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


def test_one_percent_of_the_labels_is_of_every_class_and_at_least_one_row():
    assert list(range(10)) == cifar_simclr.choose_few(LABELS).tolist()
    labels = np.repeat([3, 5], [1000, 150])
    assert [*range(10), 1000, 1001] == cifar_simclr.choose_few(labels).tolist()


def test_all_of_it_is_kept_with_the_weights(model, tmp_path):
    cifar_simclr.finish(model, rows())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for signature in ("neighbours", "classify", "compare"):
        for name, expected in ask(model, signature, IMAGES[:3]).items():
            np.testing.assert_array_equal(expected, ask(loaded, signature, IMAGES[:3])[name])
