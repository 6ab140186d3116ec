"""The signatures of texts, and the description of a model."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.language_models.byte_pairs import GPT_2, BytePairs
from pipeline.language_models.signatures import Description, text_endpoints
from serving.core.model import LoadedModel

pytestmark = pytest.mark.heavy
LETTERS = [bytes([byte]) for byte in range(32, 127)]
PAIRS = BytePairs((b"<|end|>", b"he", *LETTERS), ((2 + 72, 2 + 69, 1),), (0,), GPT_2)  # h e
MODEL = Description("tiny", len(PAIRS.spellings), 32, 4, (0,), "", "", "<|end|>")


@pytest.fixture(scope="module")
def served(network, tmp_path_factory):
    import keras

    assert network.vocabulary == len(PAIRS.spellings)
    archive = keras.export.ExportArchive()
    archive.track(network)
    for name, (function, signature) in text_endpoints(network, PAIRS, MODEL).items():
        archive.add_endpoint(name, function, input_signature=signature)
    folder = tmp_path_factory.mktemp("texts") / "1"
    archive.write_out(str(folder), verbose=False)
    model = LoadedModel(folder)
    yield model
    model.close()


def generate(served, *rows):
    prompt, seed, temperature, length = zip(*rows, strict=True)
    request = {"prompt": list(prompt), "seed": seed, "temperature": temperature, "length": length}
    return served.predict("generate", request)["text"].tolist()


def test_texts_become_tokens_and_texts(served):
    text = np.array([b"the hen<|end|>", b"x"], object)
    tokens = served.predict("tokenize", {"text": text})["tokens"]
    assert [[2 + 84, 1, 2, 1, 2 + 78, 0], [2 + 88, -1, -1, -1, -1, -1]] == tokens.tolist()
    assert [b"the hen", b"x"] == served.predict("detokenize", {"tokens": tokens})["text"].tolist()


def test_each_row_has_its_own_prompt_seed_and_length(served):
    rows = [
        ("the hen", 1, 1.0, 9),
        ("a", 2, 0.0, 5),
        ("the hen", 1, 1.0, 9),
        ("the hen", 3, 1.0, 0),
        *[("b", 7, 2.0, 4)] * 9,
    ]
    texts = generate(served, *rows)
    assert texts[0] == texts[2]
    assert b"" == texts[3]
    assert generate(served, *rows[:1]) == texts[:1]
    assert generate(served, rows[1]) == texts[1:2]
    assert len(set(texts[4:])) == 1


@pytest.mark.parametrize("row", [("", 1, 0.0, 4), ("x" * 30, 1, 0.0, 4), ("x", 1, 0.0, -1)])
def test_a_prompt_without_room_is_refused(served, row):
    with pytest.raises(Exception, match="together at most 32"):
        generate(served, row)


def test_the_description_is_json():
    assert {"context": 32, "slots": 4, "end": [0]}.items() <= json.loads(MODEL.to_json()).items()
