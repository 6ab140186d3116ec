"""The recipe papers: equation 9 of the paper, papers outside of the graph, and the network without edges."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from models import papers
from pipeline.datasets.cora import CORA, pad_words
from pipeline.recipe import Spec

PAPERS, WORDS = 9, 12
PARAMS = dataclasses.replace(papers.Params(), width=5, epochs=100)
THERE = np.random.default_rng(3).random((PAPERS, WORDS)) < 0.4
EDGES = np.array([[0, 1], [0, 2], [1, 2], [3, 7], [4, 8], [0, 8]])


def tables(edges=EDGES):
    words = {"words": pad_words(THERE), "vocabulary": np.array(WORDS)}
    return {"paper_id": np.arange(PAPERS), "citations": edges, **words}


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    return papers.build(PARAMS, Spec({}, CORA.classes, 10, tables=tables()))


def softmax(logits):
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True)


def test_network_is_equation_9(model):
    network = model.get_layer("network")
    adjacency = np.eye(PAPERS)
    adjacency[EDGES[:, 0], EDGES[:, 1]] = adjacency[EDGES[:, 1], EDGES[:, 0]] = 1
    scale = np.diag(adjacency.sum(axis=1) ** -0.5)
    around = scale @ adjacency @ scale
    x = THERE / np.maximum(THERE.sum(axis=1, keepdims=True), 1)
    hidden = np.maximum(around @ x @ network.first.numpy(), 0)
    expected = softmax(around @ hidden @ network.second.numpy())
    asked = np.array([4, 0, 8])
    np.testing.assert_allclose(expected[asked], model({"paper_id": asked}, training=False), rtol=1e-4)


def test_a_paper_outside_of_the_graph_may_be_of_any_class(model):
    found = model({"paper_id": np.array([0, 99, -1])}, training=False).numpy()
    np.testing.assert_allclose(1 / 7, found[1:], rtol=1e-6)


def test_a_new_paper_without_citations_has_its_words(model):
    network = model.get_layer("network")
    alone = papers.build(PARAMS, Spec({}, CORA.classes, 10, tables=tables(np.zeros((0, 2), np.int64))))
    for name in ("first", "second"):
        getattr(alone.get_layer("network"), name).assign(getattr(network, name))
    none = tf.fill([PAPERS, papers.MOST_CITED], tf.constant(-1, tf.int64))
    found = tf.nn.softmax(network.new(tf.constant(pad_words(THERE)), none))
    np.testing.assert_allclose(alone({"paper_id": np.arange(PAPERS)}, training=False), found, rtol=1e-4)


def test_what_a_new_paper_cites_counts_and_what_is_not_there_does_not(model):
    network = model.get_layer("network")
    words = tf.constant(np.repeat(pad_words(THERE)[:1], 3, axis=0))
    cites = np.full((3, papers.MOST_CITED), -1)
    cites[1, 0], cites[2, 0] = 3, 500
    alone, citing, nowhere = network.new(words, tf.constant(cites)).numpy()
    np.testing.assert_allclose(alone, nowhere, rtol=1e-5)
    assert np.abs(alone - citing).max() > 1e-3


def test_network_without_edges_sees_words_only():
    kinds = np.arange(70) % 7
    words = np.concatenate([kinds[:, None], np.full((70, papers.MOST_WORDS - 1), -1)], axis=1)
    names = np.array([CORA.classes[kind].encode() for kind in kinds], object)
    rows = {"words": words, "topic": names}
    half = {name: values[:35] for name, values in rows.items()}, {name: values[35:] for name, values in rows.items()}
    p = dataclasses.replace(PARAMS, width=16, l2=0.0, dropout=0.0, learning_rate=0.05)
    assert papers.accuracy_without_edges(*half, p) > 0.9
