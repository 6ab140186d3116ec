"""A backup brings everything back: the runs in MLflow, the artifacts, the published versions."""

import re

import pytest


def state(stack) -> dict:
    return {
        "runs": stack.sql("SELECT count(*) FROM runs"),
        "aliases": stack.sql("SELECT alias, version FROM registered_model_aliases ORDER BY alias"),
        "versions": stack.inside("serving", "ls /workspace/serving/digits"),
        "artifacts": stack.inside("mlflow", "find /mlartifacts -type f -not -path '*/.before-*' | sort | cksum"),
    }


@pytest.fixture(scope="module")
def restored(stack, published, wait_for):
    """The state before a backup, and the stack after the loss of everything and its restoration."""
    before = state(stack)
    name = re.search(r"/backups/(\S+)", stack.compose("run", "--rm", "backup"))[1]
    stack.sql("DELETE FROM registered_model_aliases")
    stack.inside("mlflow", "rm -rf /mlartifacts/*")
    stack.compose("run", "--rm", "--entrypoint", "rm", "pipeline", "-rf", "/workspace/serving/digits")
    assert before != {**before, "aliases": stack.sql("SELECT alias, version FROM registered_model_aliases")}
    stack.compose("stop", "mlflow", "serving")
    stack.compose("run", "--rm", "restore", name)
    stack.compose("up", "--detach", "--wait", "mlflow", "serving", "balancer")
    return before


def test_everything_is_as_it_was(stack, restored):
    assert restored == state(stack)


def test_the_model_answers(stack, restored, digit_image, client, wait_for):
    wait_for(lambda: stack.get("REST_PORT", "/v1/models/digits")["model_version_status"], "the model")
    with client(stack.grpc) as predict:
        assert [b"0"] == list(predict("digits", digit_image.read_bytes()).outputs["label"].string_val)


def test_migrate_leaves_a_current_database_as_it_is(stack, restored):
    before = stack.sql("SELECT version_num FROM alembic_version")
    stack.compose("run", "--rm", "migrate")
    assert before == stack.sql("SELECT version_num FROM alembic_version")
