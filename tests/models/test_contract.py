"""Contract: what every recipe's network and served model do, on a small sample of its data."""

from __future__ import annotations

import base64
import json
import urllib.request
from datetime import datetime

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config as framework

from pipeline.export import forecast, saved_model, signatures
from pipeline.store import fileio
from pipeline.tables.calendar import add_step
from pipeline.training import input_pipeline, trainer
from serving.client.client import Client
from serving.core.graph import find_unchecked_decoders

TOLERANCE = 1e-5
BATCH, STEPS = 8, 300
EXPLAINED_ROWS = 2  # dozens of gradients each
# Between releases of TensorFlow: another kernel adds in another order, and large numbers have no more digits.
RELATIVE_BETWEEN_RELEASES = 1e-4
# Recipes whose answers are not explained, and why.
UNEXPLAINED = {
    "cifar_simclr": "its answer is a vector without a label",
    "connected_digits": "the length of a recording is a whole number, and its answer is no number",
    "translate": "its answer is a sentence",
    "bandit": "its answer is drawn by the id of a request, which is no number",
    "assistant": "its answer is a text",
    "mnist_gan": "its serving_default draws an image from a seed: there is no input to attribute it to",
    "shakespeare": "its serving_default writes a text: there is no number to attribute to its prompt",
    "mnist_vae": "its serving_default draws an image from a seed: there is no input to attribute it to",
    "movies_ranking": "its only inputs are the numbers of a user and of a film",
    "movies_retrieval": "its answer is a list of films, and its only input is a user",
    "papers": "its only input is the number of a paper; words and neighbours are part of the model",
    "upscale": "its answer is a picture: there is no number to attribute to its pixels",
    "blood_cells": "its answer is boxes; on the way the surest one changes, which takes longer than a request may",
}

# Recipes whose loss on a few rows does not fall, and why.
NOT_BY_HEART = {"mnist_gan": "what one of its two networks gains the other one loses"}

# Of language models: they share a cache, so that their rows are none. tests/pipeline/language_models has their tests.
STATEFUL = ("prefill", "decode")
RAGGED = ("tokenize",)  # its answer is as wide as the longest row: asked for rows of the same length


@pytest.fixture(autouse=True)
def _usual_ops():
    yield
    framework.disable_op_determinism()


@pytest.fixture(scope="module")
def network(sampled_recipe):
    return sampled_recipe.network(STEPS)


@pytest.fixture(scope="module")
def fitted(sampled_recipe):
    return sampled_recipe.fitted("first")


@pytest.fixture(scope="module")
def served(sampled_recipe, request):
    """The folder of a SavedModel, and the raw inputs of some rows."""
    folder = sampled_recipe.home / "served"
    if not folder.exists():
        model = request.getfixturevalue("fitted")
        framework.disable_op_determinism()
        with fileio.create_folder(folder) as beside:
            sampled_recipe.export(model, beside)
    return folder, *saved_model.read_raw_rows(
        [str(sampled_recipe.examples / "Split-eval" / "*")], sampled_recipe.recipe, 4
    )


@pytest.fixture(scope="module")
def loaded(served):
    """The SavedModel in memory, once: its graphs are optimised at the first question."""
    from serving.core.model import LoadedModel

    model = LoadedModel(served[0])
    yield model
    model.close()


def flat(answer):
    return [np.asarray(value) for value in keras.tree.flatten(answer)]


def features(sampled_recipe, count=BATCH):
    return next(iter(input_pipeline.validation_batches(sampled_recipe.rows("train"), count)))


@pytest.mark.long
def test_one_small_batch_is_overfitted(sampled_recipe, network):
    if sampled_recipe.path.stem in NOT_BY_HEART:
        pytest.skip(NOT_BY_HEART[sampled_recipe.path.stem])
    target = trainer.target_map(network, len(sampled_recipe.recipe.data.classes))
    x, y = target(*features(sampled_recipe))
    first, best = None, {}
    for _ in range(STEPS):
        logs = network.train_on_batch(x, y, return_dict=True)
        network.reset_metrics()
        first = first or dict(logs)
        best = {name: (max if "acc" in name else min)(value, best.get(name, value)) for name, value in logs.items()}
        if by_heart(first, best):
            return
    pytest.fail(f"after {STEPS} steps on {BATCH} rows: first {first}, best {best}")


def by_heart(first, best):
    if "accuracy" in best:
        return best["accuracy"] == 1.0
    return best["loss"] <= 0.5 * first["loss"]


@pytest.mark.long
def test_same_seed_gives_the_same_weights(sampled_recipe, fitted):
    other = sampled_recipe.fitted("second")
    for expected, found in zip(fitted.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(expected, found)


@pytest.mark.long
def test_keras_file_gives_the_same_answers(sampled_recipe, fitted, tmp_path):
    fitted.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    x, _ = features(sampled_recipe)
    for expected, found in zip(flat(fitted(x, training=False)), flat(loaded(x, training=False)), strict=True):
        np.testing.assert_array_equal(expected, found)


def requests(sampled_recipe, loaded, examples, inputs):
    """Raw inputs for every signature."""
    for name, signature in loaded.signatures.items():
        if name in STATEFUL:
            continue
        if name == "explain":
            yield name, {key: inputs[key][:EXPLAINED_ROWS] for key in signature.inputs}
        elif name == "forecast":
            yield name, history(sampled_recipe.recipe.data, inputs)
        elif set(signature.inputs) == {"examples"}:
            yield name, {"examples": np.array(examples, object)}
        elif set(signature.inputs) <= set(inputs) and name not in RAGGED:
            yield name, {key: inputs[key] for key in signature.inputs}
        else:
            yield name, made_up(signature, len(examples))


def history(data, inputs):
    """The windows as rows of a table, with times."""
    start = datetime.fromisoformat("2024-02-28T00:00:00")
    times = [add_step(start, data.step, number).isoformat() for number in range(data.length)]
    rows = len(next(iter(inputs.values())))
    texts = {name: np.array([text.decode().split(",") for text in inputs[name]], object) for name in data.texts}
    numbers = {name: inputs[name] for name in data.numbers}
    return {**numbers, **texts, forecast.time_input(data): np.array([times] * rows, object)}


def made_up(signature, rows):
    return {key: numbered(info, rows) for key, info in signature.inputs.items()}


def numbered(info, rows):
    """Rows 0, 1, 2, …; texts of as many tokens each."""
    if info.dtype.name == "string":
        return np.array([f"row {row}".encode() for row in range(rows)], object)
    values = np.arange(rows, dtype=tf.as_dtype(info.dtype.name).as_numpy_dtype)
    return np.resize(values, (rows, *(max(size, 1) for size in (info.shape or (rows,))[1:])))


@pytest.mark.long
def test_any_signature_asked_twice_gives_the_same_bytes_and_rows_stand_alone(sampled_recipe, served, loaded):
    _, examples, inputs = served
    for signature, request in requests(sampled_recipe, loaded, examples, inputs):
        once, again = (loaded.predict(signature, request) for _ in range(2))
        for name, values in once.items():
            assert content(values) == content(again[name]), (signature, name)
        for row in range(len(next(iter(request.values())))):
            alone = loaded.predict(signature, {key: value[row : row + 1] for key, value in request.items()})
            same_rows({name: values[row : row + 1] for name, values in once.items()}, alone, signature)


@pytest.mark.long
def test_explanations_add_up(sampled_recipe, served, loaded):
    _, _, inputs = served
    assert (sampled_recipe.path.stem in UNEXPLAINED) == ("explain" not in loaded.signatures)
    if sampled_recipe.path.stem in UNEXPLAINED:
        pytest.skip(UNEXPLAINED[sampled_recipe.path.stem])
    answer = loaded.predict("explain", {name: values[:EXPLAINED_ROWS] for name, values in inputs.items()})
    change = answer["score"] - answer["baseline_score"]
    parts = [values for name, values in answer.items() if name.startswith("attributions")]
    sums = sum(values.reshape(len(change), -1).sum(axis=1) for values in parts)
    assert np.all(change != 0)
    # A change of some millionths of the score is known to no better: float32 has 24 bits, and many parts are added.
    np.testing.assert_allclose(sums, change, rtol=0.01, atol=4e-6 * np.abs(answer["score"]).max())


def content(values):
    return values.tolist() if values.dtype == object else values.tobytes()


def same_rows(expected, found, signature, relative=TOLERANCE):
    for name, values in expected.items():
        if name.endswith(saved_model.PICTURES) and relative > TOLERANCE:  # another kernel may round a pixel otherwise
            assert saved_model._picture_difference(values, found[name]) <= TOLERANCE, (signature, name)
        elif values.dtype.kind in "OSU":
            assert values.tolist() == np.asarray(found[name]).tolist(), (signature, name)
        else:
            np.testing.assert_allclose(values, found[name], relative, TOLERANCE, err_msg=f"{signature} {name}")


@pytest.mark.long
def test_every_signature_answers_over_the_server(sampled_recipe, served, loaded, shelf):
    folder, examples, inputs = served
    name = sampled_recipe.path.stem
    server = shelf(name, folder)
    with Client(server.grpc) as rpc, Client(server.rest) as rest:
        for signature, request in requests(sampled_recipe, loaded, examples, inputs):
            expected = loaded.predict(signature, request)
            same_rows(expected, rpc.predict(name, request, signature=signature), signature)
            same_rows(expected, rest.predict(name, request, signature=signature), signature)
        assert len(examples) == len(rows_of_plain_rest(server.rest, name, loaded, inputs))


def rows_of_plain_rest(address, name, loaded, inputs):
    """What a client without any library gets for the raw inputs."""
    declared = loaded.signatures["serving_default"]
    given = inputs if set(declared.inputs) == set(inputs) else made_up(declared, 4)
    count = len(next(iter(given.values())))
    rows = [{key: plain(values[row], key) for key, values in given.items()} for row in range(count)]
    request = urllib.request.Request(f"{address}/v1/models/{name}:predict", json.dumps({"instances": rows}).encode())
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["predictions"]


def plain(value, name):
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()} if name.endswith("_bytes") else value.decode()
    return value.tolist()


@pytest.mark.long
def test_the_release_of_the_serving_image_gives_the_same_answers(sampled_recipe, served, loaded, release):
    folder, examples, inputs = served
    asked = [*requests(sampled_recipe, loaded, examples, inputs), *warm_up(folder)]
    expected = [loaded.predict(*request) for request in asked]
    for way, answers in release.ask(folder, asked).items():
        for (signature, _), here, there in zip(asked, expected, answers, strict=True):
            assert set(here) == set(there)
            same_rows(here, there, f"{way} {signature}", RELATIVE_BETWEEN_RELEASES)


def warm_up(folder):
    """What tensorflow/serving asks the version before it announces it."""
    from tensorflow_serving.apis import prediction_log_pb2

    for record in tf.data.TFRecordDataset(str(folder / "assets.extra/tf_serving_warmup_requests")):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        yield request.model_spec.signature_name, inputs


@pytest.mark.long
def test_what_clients_ask_with_raw_inputs_is_warm_before_it_is_served(served, loaded):
    folder, _, inputs = served
    warm = {signature for signature, _ in warm_up(folder)}
    left = {name for name, signature in loaded.signatures.items() if signature.inputs.keys() <= inputs.keys()} - warm
    assert "serving_default" in warm
    assert left <= set(signatures.SELDOM_ASKED)


@pytest.mark.long
def test_only_checked_bytes_reach_a_decoder(served):
    assert set() == find_unchecked_decoders(served[0])


@pytest.mark.long
def test_a_language_model_says_what_a_server_has_to_know(served, loaded):
    file = served[0] / "assets.extra" / "language_model.json"
    assert file.exists() == ("decode" in loaded.signatures)
    if not file.exists():
        return
    model, decode = json.loads(file.read_text()), loaded.signatures["decode"]
    assert [model["slots"]] == list(decode.inputs["tokens"].shape)
    assert [model["slots"], model["vocabulary"]] == list(decode.outputs["logits"].shape)
    tokens = loaded.predict("tokenize", {"text": [model["eos_token"]]})["tokens"]
    assert tokens[0].tolist()[0] in model["end"]
