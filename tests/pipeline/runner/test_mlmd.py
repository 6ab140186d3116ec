"""TFX's cache holds wherever the workspace, the recipes and the data are."""

from pathlib import Path

import pytest
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd
from tfx.orchestration.portable import cache_utils
from tfx.proto.orchestration import pipeline_pb2
from tfx.types.standard_artifacts import Examples

from pipeline.runner.mlmd import cache_by_place


@pytest.fixture(scope="module")
def metadata():
    class Metadata:
        store = MetadataStore(mlmd.ConnectionConfig(fake_database=mlmd.FakeDatabaseConfig()))

    return Metadata()


def key(metadata, workspace: str, recipes: str = "/recipes", place: bool = True, **parameters) -> str:
    examples = Examples()
    examples.uri = f"{workspace}/artifacts/plain/ingest/examples/1"
    values = {"workspace": workspace, "config": f'{{"checkpoints": "{workspace}/checkpoints/1"}}', "epochs": 2}
    arguments = {
        "metadata_handle": metadata,
        "pipeline_node": pipeline_pb2.PipelineNode(),
        "pipeline_info": pipeline_pb2.PipelineInfo(id="plain"),
        "input_artifacts": {"examples": [examples]},
        "parameters": {**values, "recipe": f"{recipes}/plain.py", **parameters},
    }
    with cache_by_place({Path(workspace): "WORKSPACE", Path(recipes): "RECIPES"} if place else {}):
        found = cache_utils.get_cache_context(**arguments).name
    assert f"{workspace}/artifacts/plain/ingest/examples/1" == examples.uri
    return found


def test_the_key_is_the_same_in_every_place(metadata):
    assert key(metadata, "/a") == key(metadata, "/b/c") == key(metadata, "/a", "/a/recipes")
    assert key(metadata, "/a", place=False) != key(metadata, "/b", place=False)


def test_everything_else_changes_the_key(metadata):
    keys = {key(metadata, "/a"), key(metadata, "/a", epochs=3), key(metadata, "/a", recipe="/recipes/other.py")}
    assert len(keys) == 3


def test_tfx_is_left_as_it_was(metadata):
    before = cache_utils.get_cache_context
    with cache_by_place({}):
        assert before is not cache_utils.get_cache_context
    assert before is cache_utils.get_cache_context
