"""A tiny network of Llama's form with random weights, and its SavedModel."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf

from pipeline.language_models.cache import SlotCache
from pipeline.language_models.llama import Llama
from pipeline.language_models.signatures import step_endpoints

SIZES = {"vocabulary": 97, "blocks": 2, "width": 48, "heads": 6, "key_heads": 2, "hidden": 64}
SLOTS, CONTEXT = 4, 32


@pytest.fixture(scope="session")
def network():
    keras.utils.set_random_seed(1)
    network = Llama(**SIZES)
    network.build()
    return network


def export(network, endpoints, folder, cache=None):
    """Writes a SavedModel; the cache is an attribute of what is tracked."""
    network.cache = cache
    archive = keras.export.ExportArchive()
    archive.track(network)
    for name, (function, signature) in endpoints.items():
        archive.add_endpoint(name, function, input_signature=signature)
    archive.write_out(str(folder), verbose=False)
    return folder


@pytest.fixture(scope="session")
def saved(network, tmp_path_factory):
    cache = SlotCache(SIZES["blocks"], SLOTS, SIZES["key_heads"], CONTEXT, SIZES["width"] // SIZES["heads"])
    return export(network, step_endpoints(network, cache), tmp_path_factory.mktemp("tiny") / "1", cache)


class Eager:
    """`tf.saved_model.load` with the interface of the server's loader."""

    def __init__(self, folder):
        self.loaded = tf.saved_model.load(str(folder))

    def predict(self, signature, inputs):
        answer = self.loaded.signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in answer.items()}


@pytest.fixture(scope="session", params=["session", "object"])
def loaded(request, saved):
    from serving.core.model import LoadedModel

    model = LoadedModel(saved) if request.param == "session" else Eager(saved)
    yield model
    if request.param == "session":
        model.close()
