"""Lives of models that load in no time, over a config file."""

from __future__ import annotations

import threading

import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2

from serving.core.models import Models
from serving.errors import InvalidArgument
from serving.grpc_api import control
from serving.lifecycle.manager import ServableManager
from serving.options import Loading, ServeOptions


class Model:
    def __init__(self, path):
        self.path = path

    def close(self):
        pass


@pytest.fixture
def put(tmp_path):
    """Makes version folders; what is in `saved_model.pb` says whether they load."""

    def make(name, *versions, content="good"):
        for version in versions:
            folder = tmp_path / name / str(version)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "saved_model.pb").write_text(content)

    return make


@pytest.fixture
def listed(tmp_path):
    """A config's text: models by name, each with more lines if need be."""

    def text(*names, **extras):
        models = [
            f'config {{ name: "{name}" base_path: "{tmp_path}/{name}" model_platform: "tensorflow" {extra} }}'
            for name, extra in (*((name, "") for name in names), *extras.items())
        ]
        return f"model_config_list {{ {' '.join(models)} }}"

    return text


@pytest.fixture
def make_life(tmp_path):
    """Makes a life over a config file; stopped at the end."""
    made, gate = [], threading.Event()

    def load(path):
        content = (path / "saved_model.pb").read_text()
        if content == "slow":
            assert gate.wait(20)
        if content == "bad":
            raise InvalidArgument("broken")
        return Model(path)

    def make(text, config_poll=0.0, **loading):
        file = tmp_path / "models.config"
        file.write_text(text)
        options = {"poll_seconds": 0.05, "max_retries": 0, "warmup": False, "config_poll_seconds": config_poll}
        life = ServableManager(
            Models(), ServeOptions(model_config_file=file, loading=Loading(**{**options, **loading})), load
        )
        life.models, life.file, life.gate = life._models, file, gate
        made.append(life)
        return life

    yield make
    gate.set()
    for life in made:
        life.stop()


@pytest.fixture(scope="session")
def ask():
    """Sends a config, as text, to a life; gives the response."""

    def send(life, text, *metrics, counters=dict):
        request = model_management_pb2.ReloadConfigRequest(metric_names=metrics)
        text_format.Parse(text, request.config)
        return control.handle_reload(life, request, counters)

    return send
