"""Batches: every row once an epoch, cached or streamed, augmented in training only."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from pipeline.training import input_pipeline
from pipeline.training.input_pipeline import Rows

COUNT = 25
SPEC = {"x": tf.io.FixedLenFeature([1], tf.float32), "label": tf.io.FixedLenFeature([1], tf.int64)}


def transform(raw):
    return {"x": tf.repeat(raw["x"], 3, axis=1) * 2.0, "label": tf.squeeze(raw["label"], 1)}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    for name, numbers in (("a", range(10)), ("b", range(10, COUNT))):
        with tf.io.TFRecordWriter(str(folder / name)) as writer:
            for number in numbers:
                feature = {
                    "x": tf.train.Feature(float_list=tf.train.FloatList(value=[number])),
                    "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[number])),
                }
                example = tf.train.Example(features=tf.train.Features(feature=feature))
                writer.write(example.SerializeToString())
    recipe = SimpleNamespace(data=SimpleNamespace(label="label"), teacher=())
    return input_pipeline.load_rows([f"{folder}/*"], SPEC, transform, recipe)


@pytest.fixture(params=["cached", "streamed"])
def either(request, rows, monkeypatch):
    """The rows, once with room for them in memory and once without."""
    monkeypatch.setattr(Rows, "fits_memory", property(lambda self: request.param == "cached"))
    return rows


def labels(dataset):
    return [label.numpy().tolist() for _, label in dataset]


def flat(found):
    return [number for batch in found for number in batch]


def test_rows_are_preprocessed_counted_and_measured(rows):
    assert COUNT == rows.count
    assert COUNT * (3 * 4 + 8) == rows.bytes
    features, label = next(iter(rows.dataset))
    assert [0.0, 0.0, 0.0] == features["x"].numpy().tolist()
    assert {"x"} == set(features)
    assert 0 == label.numpy()
    assert COUNT == rows.dataset.cardinality()


@pytest.mark.parametrize(("free", "cached"), [(4 * COUNT * 20 + 4, True), (4 * COUNT * 20, False)])
def test_rows_are_kept_in_memory_when_they_fit_a_quarter_of_it(rows, monkeypatch, free, cached):
    monkeypatch.setattr(input_pipeline.psutil, "virtual_memory", lambda: type("Memory", (), {"available": free}))
    assert cached is rows.fits_memory


def test_validation_gives_all_rows_in_order_each_time(either):
    dataset = input_pipeline.validation_batches(either, 10)
    for _ in range(2):
        assert [10, 10, 5] == [len(batch) for batch in labels(dataset)]
        assert list(range(COUNT)) == flat(labels(dataset))


def same(features, label):
    return features, label


def test_training_gives_whole_batches_of_different_rows(either):
    found = labels(input_pipeline.training_batches(either, 10, 1, same, None))
    assert [10, 10] == [len(batch) for batch in found]
    assert 20 == len(set(flat(found)))
    assert set(range(COUNT)) >= set(flat(found))


def test_order_differs_between_epochs_and_is_fixed_by_the_seed(either):
    def epochs(seed):
        dataset = input_pipeline.training_batches(either, 5, seed, same, None)
        return [flat(labels(dataset)) for _ in range(2)]

    first, second = epochs(1)
    assert [first, second] == epochs(1)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert first != epochs(2)[0]


def test_cached_and_streamed_give_the_same_rows(rows, monkeypatch):
    found = []
    for cached in (True, False):
        monkeypatch.setattr(Rows, "fits_memory", property(lambda self, cached=cached: cached))
        pairs = [
            (x, y)
            for f, y in input_pipeline.training_batches(rows, 5, 1, same, None).unbatch()
            for x in [f["x"].numpy().tolist()]
        ]
        found.append(sorted((int(label), x) for x, label in pairs))
    assert found[0] == found[1]
    assert [(number, [2.0 * number] * 3) for number in range(COUNT)] == found[0]


def test_augmentation_is_for_training_and_anew_each_epoch(either):
    def augment(features, label):
        return {"x": features["x"] + tf.random.uniform([], 100, 200)}, label

    dataset = input_pipeline.training_batches(either, 5, 1, same, augment)
    first, second = ({int(y): x["x"].numpy()[0] for x, y in dataset.unbatch()} for _ in range(2))
    assert all(value >= 100 for value in first.values())
    assert any(first[label] != second[label] for label in first)
    plain = np.concatenate([features["x"].numpy() for features, _ in input_pipeline.validation_batches(either, 10)])
    assert 2.0 * (COUNT - 1) == plain.max()


def test_batch_larger_than_the_data_is_the_data(either):
    assert [COUNT] == [len(batch) for batch in labels(input_pipeline.training_batches(either, 100, 1, same, None))]


def structured(**changes):
    kinds = {"text": "bytes", "boxes": "float[2,4]"}
    return SimpleNamespace(data=SimpleNamespace(label="", targets=kinds), teacher=(), **changes)


def test_targets_go_to_the_loss_and_bytes_not_to_the_network():
    values = {"image": 1, "image_bytes": 2, "target/words": 3, "target/boxes": 4}
    assert input_pipeline.separate_answer(values, structured()) == ({"image": 1}, {"words": 3, "boxes": 4})
    only = {"image": 1, "target/words": 3}
    assert input_pipeline.separate_answer(only, structured()) == ({"image": 1}, 3)


def test_a_teacher_gives_the_network_targets_too():
    recipe = SimpleNamespace(**vars(structured()) | {"teacher": ("words",)})
    values = {"image": 1, "target/words": 3, "target/boxes": 4}
    features, answer = input_pipeline.separate_answer(values, recipe)
    assert features == {"image": 1, "words": 3}
    assert answer == {"words": 3, "boxes": 4}


@pytest.mark.parametrize(
    ("shape", "least", "expected"),
    [((28, 28, 1), 128, 512), ((256, 320, 3), 8, 8), ((512, 512, 3), 4, 4), ((96, 96, 3), 32, 75), ((), 1, 512)],
)
def test_few_rows_with_many_numbers_are_answered_at_a_time(shape, least, expected):
    """512 large pictures would take tens of gigabytes in the network."""
    features = {"x": tf.TensorSpec(shape, tf.uint8), "part": tf.TensorSpec((), tf.float32)}
    dataset = tf.data.Dataset.from_generator(list, output_signature=(features, tf.TensorSpec((), tf.int64)))
    numbers = input_pipeline.count_numbers(input_pipeline.Rows(dataset, 0, 0))
    assert math.prod(shape) + 1 == numbers
    assert expected == input_pipeline.rows_at_once(numbers, least)
