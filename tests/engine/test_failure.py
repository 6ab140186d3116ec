"""Servers die: they come back, and a run that goes on meanwhile is recorded whole."""

import json
import subprocess

import pytest


def runs(stack, condition: str) -> list[dict]:
    found = stack.get("MLFLOW_PORT", "/api/2.0/mlflow/experiments/search", {"max_results": 100})
    experiments = [one["experiment_id"] for one in found["experiments"]]
    body = {"experiment_ids": experiments, "filter": condition, "max_results": 100}
    return stack.get("MLFLOW_PORT", "/api/2.0/mlflow/runs/search", body).get("runs", [])


def artifacts(stack, run: str, folder: str = "") -> set[str]:
    listed = stack.get("MLFLOW_PORT", f"/api/2.0/mlflow/artifacts/list?run_id={run}&path={folder}").get("files", [])
    files = {file["path"] for file in listed if not file["is_dir"]}
    return files.union(*(artifacts(stack, run, file["path"]) for file in listed if file["is_dir"]))


def record(stack, run: str) -> dict[str, set[str]]:
    """What MLflow knows of a run, without its numbers."""
    found = stack.get("MLFLOW_PORT", f"/api/2.0/mlflow/runs/get?run_id={run}")["run"]
    steps = runs(stack, f"tags.mlflow.parentRunId = '{run}'")
    return {
        "status": {found["info"]["status"]},
        "metrics": {metric["key"] for metric in found["data"]["metrics"] if not metric["key"].startswith("system/")},
        "parameters": {parameter["key"] for parameter in found["data"]["params"]},
        "artifacts": artifacts(stack, run) - {"pictures/mistakes.png"},  # which is drawn if there are any
        "steps": {f"{step['info']['run_name']} {step['info']['status']}" for step in steps},
    }


def lost(whole: dict[str, set[str]], other: dict[str, set[str]]) -> dict[str, set[str]]:
    """What a whole record has and another one lacks. A later run has more: there is a champion to compare with."""
    return {name: missing for name in whole if (missing := whole[name] - other[name])}


def test_the_server_comes_back_after_a_crash(stack, published, digit_image, client, wait_for):
    before = stack.containers("serving")[0]
    stack.kill(before)
    after = wait_for(
        lambda: [one for one in stack.containers("serving") if one["RestartCount"] > before["RestartCount"]],
        "a restart",
    )
    assert before["Id"] == after[0]["Id"]
    with client(stack.grpc) as predict:
        answer = wait_for(lambda: answered(predict, digit_image), "an answer")
    assert [b"0"] == list(answer.outputs["label"].string_val)


def answered(predict, image):
    import grpc

    try:
        return predict("digits", image.read_bytes())
    except grpc.RpcError:
        return None


def epochs(stack, run: str) -> list[int]:
    history = stack.get("MLFLOW_PORT", f"/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=val_loss")
    return sorted(metric["step"] for metric in history.get("metrics", []))


@pytest.fixture(scope="module")
def disturbed(stack, published, wait_for):
    """A run during which the database was restarted once and crashed once: what it said."""
    known = {run["info"]["run_id"] for run in runs(stack, "")}
    command = ["docker", "compose", "run", "--rm", "pipeline", "run", "digits", "--seed", "3", "--no-cache", "--json"]
    with subprocess.Popen(command, cwd=stack.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        wait_for(lambda: {one["info"]["run_id"] for one in runs(stack, "")} - known, "the run in MLflow")
        stack.compose("restart", "postgres")
        new = wait_for(lambda: [one for one in runs(stack, "") if one["info"]["run_id"] not in known], "MLflow")
        parent = next(one["info"]["run_id"] for one in new if "mlflow.parentRunId" not in str(one["data"].get("tags")))
        wait_for(lambda: epochs(stack, parent), "its first epochs")
        stack.kill(stack.containers("postgres")[0])
        out, err = run.communicate(timeout=400)
    assert 0 == run.returncode, err
    return json.loads(out)


def test_a_run_loses_nothing_while_the_database_is_away(stack, published, disturbed, wait_for):
    expected = record(stack, published["mlflow_run_id"])
    wait_for(lambda: not lost(expected, record(stack, disturbed["mlflow_run_id"])), "the whole record")
    seen = epochs(stack, disturbed["mlflow_run_id"])
    assert list(range(seen[0], seen[0] + len(seen))) == seen
    assert disturbed["blessed"]
