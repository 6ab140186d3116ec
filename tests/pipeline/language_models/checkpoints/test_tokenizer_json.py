"""Vocabularies of Hugging Face's tokenizers: the same tokens, or a refusal that says what is other."""

from __future__ import annotations

import json

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.language_models.checkpoints.tokenizer_json import LLAMA_SPLIT, read_tokenizer

DIGITS = {"type": "Digits", "individual_digits": True}
LETTERS = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
SPLIT = {"type": "Split", "pattern": {"Regex": LLAMA_SPLIT}, "behavior": "Isolated", "invert": False}
KINDS = {
    "gpt-2": LETTERS,
    "smollm": {"type": "Sequence", "pretokenizers": [DIGITS, LETTERS]},
    "llama": {"type": "Sequence", "pretokenizers": [SPLIT, LETTERS | {"use_regex": False}]},
}
PARTS = st.one_of(
    st.sampled_from([" ", "  ", "\n", "\r\n", "\t", "a", "the", " user", "1", "2345", "'s", "'LL", "!", "?!\n", "ß"]),
    st.sampled_from(
        ["\u00a0", "\u2028", "\x0b", "\x85", "½", "٣", "\u0301", "\u200b", "🎉", "\x00", "<|im_end|>", "<|"]
    ),
    st.characters(exclude_categories=["Cs"], exclude_characters="\ufdd0"),
)


@pytest.fixture(scope="module", params=KINDS)
def both(request, tiny_llama, tmp_path_factory):
    from tokenizers import Tokenizer

    folder = tmp_path_factory.mktemp("tokens")
    tiny_llama.write_folder(folder, tokenizer={"pre_tokenizer": KINDS[request.param]})
    path = folder / "tokenizer.json"
    pairs = read_tokenizer(path, tiny_llama.VOCABULARY)
    return Tokenizer.from_str(complete(path)), tf.function(
        pairs.encode, input_signature=[tf.TensorSpec([None], tf.string)]
    )


def complete(path):
    """What the package wants to have said in each added token and in the file."""
    content = json.loads(path.read_text())
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    content["added_tokens"] = [token | flags for token in content["added_tokens"]]
    return json.dumps(
        {"version": "1.0", "truncation": None, "padding": None, "post_processor": None, "decoder": None} | content
    )


@pytest.mark.heavy
@given(texts=st.lists(st.lists(PARTS, max_size=20).map("".join), min_size=1, max_size=5))
def test_tokens_are_those_of_hugging_face(both, texts):
    tokenizer, encode = both
    expected = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    assert expected == encode(tf.constant([text.encode() for text in texts])).to_list()


@pytest.mark.parametrize(
    "text", ["a\n\n  b", "x  \n y", "  12345  6", "I'LL say:\n\n\n 'no'!\r\n\t end ", "a \u00a0!\n b"]
)
def test_white_space_goes_where_it_belongs(both, text):
    tokenizer, encode = both
    assert [tokenizer.encode(text).ids] == encode(tf.constant([text.encode()])).to_list()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"normalizer": {"type": "NFC"}}, "no normalizer\nReceived: NFC"),
        ({"pre_tokenizer": {"type": "Metaspace"}}, "Received: Metaspace"),
        ({"pre_tokenizer": LETTERS | {"add_prefix_space": True}}, "Received: ByteLevel"),
        ({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [DIGITS]}}, "Received: Digits"),
        ({"pre_tokenizer": None}, "Received: NoneType"),
        ({"model": {"type": "Unigram"}}, "model.type = 'BPE'\nReceived: 'Unigram'"),
        ({"model": {"type": "BPE", "ignore_merges": True}}, "model.ignore_merges = None\nReceived: True"),
        ({"model": {"type": "BPE", "vocab": [], "merges": []}}, "vocab, a dict\nReceived: list"),
        ({"model": {"type": "BPE", "vocab": {"a": 999}, "merges": []}}, "ids from 0 to 319\nReceived: 'a': 999"),
        ({"model": {"type": "BPE", "vocab": {"a": 5}, "merges": ["a b"]}}, "do not fit together"),
        ({"model": {"type": "BPE", "vocab": {"a": 5}, "merges": [["a", 1]]}}, "model.merges with two texts"),
        ({"added_tokens": [{"id": 3, "content": "<tool>", "special": False}]}, "added tokens that are special"),
        (
            {"added_tokens": [{"id": 3, "content": "<x>", "special": True, "lstrip": True}]},
            "nothing but their own text",
        ),
    ],
)
def test_what_would_be_split_otherwise_is_refused(tiny_llama, tmp_path, other, message):
    tiny_llama.write_folder(tmp_path, tokenizer=other)
    with pytest.raises(PipelineError, match=message):
        read_tokenizer(tmp_path / "tokenizer.json", tiny_llama.VOCABULARY)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PipelineError, match=r"Expected: tokenizer\.json\nReceived: an empty folder"):
        read_tokenizer(tmp_path / "tokenizer.json", 5)
