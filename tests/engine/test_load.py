"""Under constant load nothing fails: a second version is published, servers come and one of them dies."""

import pytest

REPLICAS = 3
COUNTS = (
    "exec 3<>/dev/tcp/127.0.0.1/8501; printf 'GET /monitoring/prometheus/metrics HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
)


def test_a_second_version_takes_over_and_no_request_fails(stack, published, load, wait_for):
    with load() as asked:
        second = stack.pipeline("digits", "--seed", "2")
        assert second["blessed"], second
        wait_for(lambda: asked.failures or second["model_version"] in asked.versions, "answers of the second version")
        seen = asked.answers
        wait_for(lambda: asked.failures or asked.answers > seen + 200, "more answers")
    assert [] == asked.failures
    assert {published["model_version"], second["model_version"]} == set(asked.versions)


@pytest.fixture
def replicas(stack, published):
    stack.compose("up", "--detach", "--wait", "--scale", f"serving={REPLICAS}", "serving")
    yield stack.containers("serving")
    stack.compose("up", "--detach", "--wait", "--scale", "serving=1", "serving")


def predictions(stack, index: int) -> int:
    """Requests that one replica has answered."""
    lines = stack.inside("serving", COUNTS, index=index).splitlines()
    counts = [
        line.split()[-1] for line in lines if line.startswith(":tensorflow:serving:request_count{") and '"OK"' in line
    ]
    return sum(int(float(count)) for count in counts)


def test_three_replicas_share_the_requests(stack, replicas, load, wait_for):
    assert REPLICAS == len(replicas)
    before = [predictions(stack, index) for index in range(1, REPLICAS + 1)]

    def shares() -> list[int]:
        return [predictions(stack, index) - before[index - 1] for index in range(1, REPLICAS + 1)]

    with load() as asked:
        wait_for(lambda: asked.failures or min(shares()) > 20, "an answer of each replica")
    print(f"requests per replica: {shares()}, of {asked.answers}")
    assert [] == asked.failures


def test_one_of_three_dies_and_no_request_fails(stack, replicas, load, wait_for):
    with load() as asked:
        wait_for(lambda: asked.failures or asked.answers > 100, "answers")
        stack.kill(replicas[1])
        wait_for(lambda: asked.failures or all_healthy(stack, replicas[1]["Id"]), "the replica to come back")
        seen = asked.answers
        wait_for(lambda: asked.failures or asked.answers > seen + 200, "answers after it")
    assert [] == asked.failures


def all_healthy(stack, killed: str) -> bool:
    containers = stack.containers("serving")
    restarted = [container for container in containers if container["Id"] == killed and container["RestartCount"]]
    return bool(restarted) and all(one["State"]["Health"]["Status"] == "healthy" for one in containers)
