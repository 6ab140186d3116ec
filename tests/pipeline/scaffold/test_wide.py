"""Wide tables: each analysis of the data costs Transform a part of a second, so their number is bounded."""

from __future__ import annotations

import random

import pytest

from pipeline.recipes import catalog

KINDS = {"float": "float32", "int": "int64", "bytes": "string"}
WORDS = ["leaf", "bark", "old", "wet", "tall", "dry", "root", "moss"]


def columns(kind: str, count: int, rows: int = 60) -> dict[str, list[object]]:
    drawn = random.Random(1)
    draw = {
        "numbers": lambda: round(drawn.gauss(0, 1), 3),
        "amounts": lambda: round(10 ** drawn.uniform(0, 4), 2),
        "names": lambda: drawn.choice("abcd"),
        "truths": lambda: drawn.choice(["yes", "no"]),
        "texts": lambda: " ".join(drawn.choices(WORDS, k=6)),
    }[kind]
    table = {f"c{place}": [draw() for _ in range(rows)] for place in range(count)}
    return {**table, "grown": [drawn.choice(["yes", "no"]) for _ in range(rows)]}


@pytest.fixture
def count_analyses(drafted, write_csv):
    """The number of analyses in the graph of the recipe that is drafted for columns."""
    import tensorflow as tf
    from tensorflow_transform import analyzer_nodes

    def count(table: dict[str, list[object]]) -> int:
        recipe = catalog.load_recipe(drafted(write_csv(table), "grown").source.path)
        with tf.Graph().as_default() as graph:
            inputs = {
                name: tf.compat.v1.placeholder(KINDS[kind], [None], name) for name, kind in recipe.data.inputs.items()
            }
            recipe.preprocess(inputs, recipe.params)
            return len(graph.get_collection(analyzer_nodes.TENSOR_REPLACEMENTS))

    return count


@pytest.mark.parametrize("kind", ["numbers", "amounts", "names", "truths"])
def test_analyses_do_not_grow_with_the_columns(count_analyses, kind):
    few, many = (count_analyses(columns(kind, count)) for count in (50, 100))
    assert 1 <= few == many <= 4


def test_each_text_has_words_of_its_own(count_analyses):
    """A word may mean another thing in another column, so texts share no vocabulary: each has its analyses."""
    one, many = (count_analyses(columns("texts", count)) for count in (1, 100))
    assert 100 * one == many
