"""Servers of small language models, and OpenAI's client of them."""

from __future__ import annotations

import shutil

import openai
import pytest


@pytest.fixture(scope="session")
def chat_models(languages, saved, tmp_path_factory):
    """A folder to serve: `talk` and `slow`, which are language models, and `half`."""
    base = tmp_path_factory.mktemp("chat")
    shutil.copytree(languages / "quick", base / "talk" / "1")
    shutil.copytree(languages / "slow", base / "slow" / "1")
    shutil.copytree(saved / "linear_1", base / "half" / "1")
    return base


@pytest.fixture(scope="session")
def chat_server(chat_models, run_server):
    """A server of `talk`, `slow` and `half`, shared by all tests that change nothing."""
    with run_server(chat_models) as running:
        yield running


@pytest.fixture(scope="session")
def client_of():
    """Makes OpenAI's client of a server."""

    def make(server, base="/openai/v1", **options):
        return openai.OpenAI(base_url=f"{server.rest}{base}", **{"api_key": "none", "max_retries": 0, **options})

    return make


@pytest.fixture(scope="session")
def client(chat_server, client_of):
    """OpenAI's client of the shared server."""
    with client_of(chat_server) as made:
        yield made
