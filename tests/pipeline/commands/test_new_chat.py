"""`keraspipe new --task chat`: a tiny language model is tuned, published, and answers in a chat and over a server."""

from __future__ import annotations

import subprocess

import httpx
import openai
import pytest

pytestmark = [pytest.mark.long, pytest.mark.process]


@pytest.fixture(scope="module")
def tuned(keraspipe_in, tiny_llama, tmp_path_factory):
    """The command line on a workspace with the language model `mine`, and the metrics of its run."""
    folder = tmp_path_factory.mktemp("tuned")
    command = keraspipe_in(folder)
    recipes = {"KERASPIPE_RECIPES": str(folder / "recipes"), "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    base, chats = tiny_llama.write_folder(folder / "TinyLlama"), tiny_llama.write_chats(folder / "chats.jsonl")
    written = command("new", "mine", "--data", chats, "--task", "chat", "--base-model", base, **recipes)
    assert (0, "") == (written.code, written.err)
    assert "120 answers in 120 conversations" in written.out
    result = command("run", "mine", "--json", **recipes)
    assert 0 == result.code, result.err
    return command, result.json


def test_a_language_model_is_tuned_without_an_edit(tuned):
    _, run = tuned
    assert run["blessed"]
    assert run["metrics"]["loss_saved"] > 0.02
    assert 0 < run["metrics"]["held_out_loss"] < 10
    assert run["metrics"]["tokens_per_second"] > 1


def test_it_chats(tuned):
    command, _ = tuned
    options = ("mine", "--max-tokens", "8", "--temperature", "0")
    chat = subprocess.run(
        command.command("chat", *options),
        input="What is red 7?\n",
        capture_output=True,
        text=True,
        check=False,
        cwd=command.workspace.parent,
        env=command.environment,
        timeout=120,
    )
    assert 0 == chat.returncode, chat.stderr
    assert chat.stdout.strip()


def test_openais_client_and_tensorflow_servings_are_answered(tuned, run_server):
    command, _ = tuned
    options = {"api_key": "none", "max_retries": 0}
    with (
        run_server(command.workspace / "serving") as server,
        openai.OpenAI(base_url=f"{server.rest}/openai/v1", **options) as client,
    ):
        message = {"role": "user", "content": "What is blue 3?<|im_end|>"}
        answer = client.chat.completions.create(model="mine", messages=[message], max_tokens=8, temperature=0)
        assert 1 <= answer.usage.completion_tokens <= 8
        prompt = "<|im_start|>user\nWhat is blue 3?<|im_end|>\n<|im_start|>assistant\n"
        body = {"instances": [{"prompt": prompt}, {"prompt": ""}]}
        asked = httpx.post(f"{server.rest}/v1/models/mine:predict", json=body, timeout=60)
        assert 2 == len(asked.json()["predictions"]), asked.text
