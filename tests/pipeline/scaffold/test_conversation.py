"""Recipes of `new` for conversations: when they are recognised, what is decided, and what is refused."""

from __future__ import annotations

import ast
import json

import pytest

from pipeline.errors import PipelineError, UsageError
from pipeline.scaffold import inspect, render
from pipeline.scaffold.structured.conversation import ChatOptions, choose_batch, is_chats


@pytest.fixture
def chats(tiny_llama, tmp_path):
    return tiny_llama.write_chats(tmp_path / "chats.jsonl")


def plan(path, folder, task="", **options):
    return inspect.make_plan(path, "", task, chat=ChatOptions(str(folder), **options))


@pytest.mark.heavy
def test_a_recipe_is_written_for_conversations(chats, tiny_folder):
    made = plan(chats, tiny_folder, "chat")
    text = render.render_recipe(made, "mine")
    ast.parse(text)
    assert f'BASE_MODEL = "{tiny_folder}"' in text
    assert "CONTEXT = 512 " in text
    assert "truncate=False" in text
    assert "120 answers in 120 conversations" in text
    assert 'split=Group("conversation", eval=0.15, test=0.2)' in text
    assert made.facts["bounds"].at_least == {"loss_saved": 0.02}
    assert any("--base-model takes another" in note for note in made.notes)
    assert max(map(len, text.splitlines())) <= 120


def test_conversations_are_recognised(tiny_llama, chats, tmp_path):
    assert is_chats(chats)
    faulty = '{"messages": "oops"}\nnonsense\n{"a": 1}\n{"messages": [5, {"role": "user", "content": "a"}]}\n'
    (tmp_path / "faulty.jsonl").write_text(faulty + chats.read_text())
    assert is_chats(tmp_path / "faulty.jsonl")
    (tmp_path / "rows.jsonl").write_text('{"messages": 5}\n{"a": 1}\n')
    assert not is_chats(tmp_path / "rows.jsonl")
    (tmp_path / "empty.jsonl").write_text("")
    assert not is_chats(tmp_path / "empty.jsonl")
    assert not is_chats(tmp_path)


def test_options_of_a_language_model_are_for_conversations(chats, tiny_folder, tmp_path):
    with pytest.raises(UsageError, match="no column is predicted"):
        inspect.make_plan(chats, "messages", "chat")
    with pytest.raises(UsageError, match="--base-model with --task chat"):
        plan(chats, tiny_folder, "regression")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match=r"table\.csv holds no conversations"):
        plan(tmp_path / "table.csv", tiny_folder, "chat")


@pytest.mark.parametrize("context", [7, 600])
def test_a_context_of_no_use_is_refused(chats, tiny_folder, context):
    with pytest.raises(UsageError, match="--context from 128 to 512"):
        plan(chats, tiny_folder, context=context)


def test_what_cannot_be_used_is_counted_by_kind(tiny_llama, tiny_folder, tmp_path):
    extra = ['{"messages": [{"role": "tool"}]}'] * 3 + ["nonsense"]
    made = plan(tiny_llama.write_chats(tmp_path / "chats.jsonl", extra=extra), tiny_folder)
    notes = "\n".join(made.notes)
    assert "4 conversations cannot be used, or not as a whole: 3 times an unknown role; 1 times not JSON." in notes
    assert "line 121: an unknown role: message 1 has 'tool'" in notes
    assert "bad_share=0.0" in render.render_recipe(made, "mine")


@pytest.mark.heavy
def test_too_long_ones_are_cut_only_if_asked(tiny_llama, tiny_folder, tmp_path):
    path = tiny_llama.write_chats(tmp_path / "chats.jsonl", 60, turns=5)
    notes = "\n".join(plan(path, tiny_folder, context=130).notes)
    assert "60 conversations cannot be used, or not as a whole: longer than 130 tokens." in notes
    assert "--truncate leaves out the oldest messages" in notes
    made = plan(path, tiny_folder, context=130, truncate=True)
    assert "300 answers in 60 conversations" in "\n".join(made.notes)
    assert "truncate=True" in render.render_recipe(made, "mine")


def test_most_of_them_too_long_names_the_ways_out(tiny_llama, tiny_folder, tmp_path):
    path = tmp_path / "chats.jsonl"
    long = [{"role": "user", "content": "why " * 80}, {"role": "assistant", "content": "so"}]
    path.write_text("\n".join([json.dumps({"messages": long})] * 60))
    with pytest.raises(
        PipelineError, match="Next: raise --context, or leave out their oldest messages with --truncate"
    ):
        plan(path, tiny_folder, context=130)


def test_too_few_are_refused(tiny_llama, tiny_folder, tmp_path):
    with pytest.raises(PipelineError, match="too few answers"):
        plan(tiny_llama.write_chats(tmp_path / "few.jsonl", 9), tiny_folder)
    with pytest.raises(PipelineError, match=r"(?s)Too few conversations .* differ.*Received: 4, with 60 answers"):
        plan(tiny_llama.write_chats(tmp_path / "same.jsonl", 4, turns=15), tiny_folder)
    path = tmp_path / "share.jsonl"
    path.write_text('{"conversations": [{"from": "human", "value": "hi"}]}\n' * 60)
    with pytest.raises(PipelineError, match="the members are conversations"):
        plan(path, tiny_folder)


@pytest.mark.parametrize(("longest", "rows"), [(0, 16), (256, 16), (300, 8), (1024, 1), (5000, 1)])
def test_long_rows_make_small_batches(longest, rows):
    assert rows == choose_batch(longest)
