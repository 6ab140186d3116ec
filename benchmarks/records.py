"""Writes a recipe's examples as TFRecords, which the stock pipeline's ImportExampleGen reads.

    python -m benchmarks.records RECIPE FOLDER [--splits]

This happens before the clock starts: the stock side need not read the data set and encode the images.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from pipeline import recipe, settings
from pipeline.formats import tfrecord
from pipeline.steps import ingest


def main() -> None:
    """Writes one file for TFX to split, or with --splits the folders Split-train, Split-eval and Split-test."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--splits", action="store_true")
    options = parser.parse_args()
    recipe = importlib.import_module(f"models.{options.recipe}").RECIPE
    data = settings.from_environment().data
    if options.splits:
        ingest.ingest(recipe, data, options.folder, quick=False)
    else:
        write_one(recipe, data, options.folder / "examples.tfrecord")


def write_one(recipe: recipe.Recipe, data: Path, path: Path) -> None:
    """Writes all examples into one file."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in recipe.data.examples(data):
            writer.write(tfrecord.encode_example(example.features))


if __name__ == "__main__":
    main()
