"""Byte-pair encoding in the graph, against Hugging Face's tokenizers."""

from __future__ import annotations

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.language_models.byte_pairs import BytePairs, _letters

SPECIAL = ("<|end|>", "<|end|>>", "<|begin|>")
CORPUS = [
    "The ship's crew didn't see the 12 islands, they'll see them in 2026; we've been there.",
    "  indented\n\n\tlines and   spaces  123 45 \r\n",
    "Überall äußerten die Straßen: schön! naïve café 日本語の文章です。",
    "aaaa aaaaa banana bananas banana",
]
ALPHABET = st.one_of(
    st.sampled_from([" ", "  ", "\n", "\t", "a", "aa", "the", "1", "23", "'s", "'LL", "ß", "日", "\u00a0", "\u2028"]),
    st.sampled_from([*SPECIAL, "<|", "|>", ".", "\x85", "½", "٣", "\u0301", "\u200b", "🎉", "\ufffd", "\x00"]),
    st.characters(exclude_categories=["Cs"]),
)


def learn(pre):
    """A vocabulary that Hugging Face's trainer learns, as its tokenizer and as a GGUF file would state it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = [pre_tokenizers.Digits(individual_digits=True)] if pre == "smollm" else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*digits, letters])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=420, show_progress=False, initial_alphabet=sorted(_letters())[:-20])
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    import json

    model = json.loads(tokenizer.to_str())["model"]
    tokens = [token for token, _ in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])]
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3 if token in SPECIAL else 1 for token in tokens],
        "tokenizer.ggml.merges": [" ".join(merge) for merge in model["merges"]],
    }
    return tokenizer, BytePairs.from_gguf(metadata)


@pytest.fixture(scope="module", params=["smollm", "gpt-2"])
def both(request):
    tokenizer, pairs = learn(request.param)
    encode = tf.function(pairs.encode, input_signature=[tf.TensorSpec([None], tf.string)])
    return tokenizer, pairs, encode


@pytest.mark.heavy
@given(texts=st.lists(st.lists(ALPHABET, max_size=20).map("".join), min_size=1, max_size=5))
def test_tokens_are_those_of_hugging_face(both, texts):
    tokenizer, _, encode = both
    expected = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    assert expected == encode(tf.constant([text.encode() for text in texts])).to_list()


@pytest.mark.parametrize("text", [*CORPUS, "", " ", "\n\n", "a" * 300, "aaab" * 50, "1" * 20, "<|end|>>a<|end|>"])
def test_usual_and_odd_texts(both, text):
    tokenizer, _, encode = both
    expected = tokenizer.encode(text, add_special_tokens=False).ids
    assert [expected] == encode(tf.constant([text.encode()])).to_list()


@given(text=st.text(st.characters(max_codepoint=0x7F), max_size=30))
def test_tokens_become_the_text_again(both, text):
    _, pairs, encode = both
    ids = encode(tf.constant([text.encode()])).to_tensor(-1)
    if not any(name in text for name in SPECIAL):
        assert [text.encode()] == pairs.decode(ids).numpy().tolist()


def test_bytes_that_are_no_text_do_not_disturb_other_rows(both):
    _, _, encode = both
    good, bad = b"the crew", b"\xff\xfe the \x80"
    rows = encode(tf.constant([good, bad, good])).to_list()
    assert rows[0] == rows[2] == encode(tf.constant([good])).to_list()[0]
    assert rows[1] == encode(tf.constant(["\ufffd\ufffd the \ufffd".encode()])).to_list()[0]


def test_special_tokens_and_padding_have_no_text(both):
    _, pairs, encode = both
    ids = encode(tf.constant([b"<|begin|>the crew<|end|>", b"a"])).to_tensor(-1)
    assert [b"the crew", b"a"] == pairs.decode(ids).numpy().tolist()


def test_half_a_character_is_no_text(both):
    """An answer may end within one; JSON could not carry it."""
    _, pairs, _ = both
    letter, half = (pairs.spellings.index(part) for part in (b"a", "é".encode()[:1]))
    ids = tf.constant([[letter, half, letter], [letter, half, -1]])
    assert [b"a\xc3a", b"a\xc3"] == pairs.decode_bytes(ids).numpy().tolist()
    assert [b"aa", b"a"] == pairs.decode(ids).numpy().tolist()


def test_a_vocabulary_of_another_kind_is_refused():
    with pytest.raises(PipelineError, match=r"gpt2.*\n.*Received: llama default"):
        BytePairs.from_gguf({"tokenizer.ggml.model": "llama"})
