"""Wide tables: each analysis of the data costs Transform a part of a second, so their number is bounded."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

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


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["numbers", "amounts", "names", "truths"])
def test_analyses_do_not_grow_with_the_columns(count_analyses, kind):
    few, many = (count_analyses(columns(kind, count)) for count in (50, 100))
    assert 1 <= few == many <= 4


@pytest.mark.heavy
def test_more_than_two_texts_share_their_analyses(count_analyses):
    one, two, three, many = (count_analyses(columns("texts", count)) for count in (1, 2, 3, 100))
    assert (2 * one, one) == (two, three)
    assert three == many


@pytest.fixture(scope="module")
def analyse():
    """The features of a recipe's rows, and the entries of each vocabulary that its preprocessing makes of them."""
    import apache_beam as beam
    import tensorflow as tf
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

    def run(recipe, params, rows, folder):
        spec = {name: tf.io.FixedLenFeature([], KINDS[kind]) for name, kind in recipe.data.inputs.items()}
        metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
        with beam.Pipeline() as pipeline, tft_beam.Context(temp_dir=str(folder / "temporary")):
            source = (pipeline | beam.Create(rows), metadata)
            analysed = source | tft_beam.AnalyzeDataset(lambda inputs: recipe.preprocess(inputs, params))
            analysed | tft_beam.WriteTransformFn(str(folder / "transform"))
        graph = tft.TFTransformOutput(str(folder / "transform"))
        raw = {name: tf.constant([row[name] for row in rows]) for name in rows[0]}
        names = sorted(path.name for path in (folder / "transform/transform_fn/assets").iterdir())
        return graph.transform_features_layer()(raw), {name: graph.vocabulary_by_name(name) for name in names}

    return run


def known_words(texts: list[str], count: int) -> set[bytes]:
    """The most frequent words; of equally frequent ones TFT prefers those that come last in the alphabet."""
    counts = Counter(word for text in texts for word in text.lower().split())
    return {word.encode() for word in sorted(counts, key=lambda word: (counts[word], word), reverse=True)[:count]}


@pytest.mark.heavy
@pytest.mark.parametrize("others", [{}, {"height": [place**0.5 for place in range(60)]}], ids=["texts", "and a number"])
def test_each_text_has_words_of_its_own(drafted, write_csv, analyse, tmp_path, others):
    """As many as alone, however frequent another column's words are; the words of one are others in another."""
    drawn = random.Random(2)
    texts = {
        "names": [" ".join(drawn.choices(WORDS, k=9)) for _ in range(60)],  # called as a feature of recipes
        "größe (m)": [" ".join(drawn.choices([*WORDS[:5], "a=b", "ümlaut"], k=4)) for _ in range(60)],
        "words": [" ".join(drawn.choices(WORDS[2:6], k=place % 9)) for place in range(60)],
    }
    grown = [drawn.choice(["yes", "no"]) for _ in range(60)]
    draft = drafted(write_csv({**texts, **others, "grown": grown}), "grown")
    assert all("text" in draft.uses[name] for name in texts), draft.uses
    recipe = catalog.load_recipe(draft.source.path)
    examples = recipe.data.examples(Path("/"))
    rows = [{name: row.features.get(name, "") for name in recipe.data.inputs} for row in examples]
    features, vocabularies = analyse(recipe, replace(recipe.params, vocabulary=4), rows, tmp_path)
    entries = vocabularies["words_values"]
    inputs = dict(zip(texts, ("names_2", "grosse_m", "words_2"), strict=True))
    split = {name: [word.replace("=", " ") for word in column] for name, column in texts.items()}
    expected = {f"{inputs[name]}=".encode() + word for name in texts for word in known_words(split[name], 4)}
    assert expected == set(entries)
    assert len(entries) == len(expected)
    for place, (name, column) in enumerate(split.items()):
        ids = features[inputs[name]].numpy()
        for text, found in zip(column, ids, strict=True):
            keyed = [f"{inputs[name]}={word}".encode() for word in text.split()]
            numbers = [entries.index(word) + 4 if word in entries else 1 + place for word in keyed]
            assert numbers == [number for number in found.tolist() if number]
