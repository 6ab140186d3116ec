"""`docker compose run --rm pipeline run digits`: recorded in MLflow on PostgreSQL, published, answered."""

import base64
import urllib.request


def run_of(stack, result) -> dict:
    return stack.get("MLFLOW_PORT", f"/api/2.0/mlflow/runs/get?run_id={result['mlflow_run_id']}")["run"]


def test_the_run_is_published(published):
    assert (True, 1) == (published["blessed"], published["model_version"])


def test_mlflow_shows_the_run_with_its_metrics(stack, published):
    run = run_of(stack, published)
    metrics = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    assert "FINISHED" == run["info"]["status"]
    assert published["metrics"] == {name: metrics.get(f"test/{name}") for name in published["metrics"]}


def test_its_artifacts_come_through_mlflow(stack, published):
    run = published["mlflow_run_id"]
    files = stack.get("MLFLOW_PORT", f"/api/2.0/mlflow/artifacts/list?run_id={run}")["files"]
    assert "gate.md" in {file["path"] for file in files}
    url = stack.url("MLFLOW_PORT", f"/get-artifact?path=gate.md&run_uuid={run}")
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert b"accuracy" in answer.read()


def test_postgresql_holds_its_rows(stack, published):
    run = published["mlflow_run_id"]
    assert "FINISHED" == stack.sql(f"SELECT status FROM runs WHERE run_uuid = '{run}'")
    accuracy = float(stack.sql(f"SELECT value FROM latest_metrics WHERE run_uuid = '{run}' AND key = 'test/accuracy'"))
    assert published["metrics"]["accuracy"] == accuracy


def test_rest_answers(stack, published, digit_image):
    encoded = base64.b64encode(digit_image.read_bytes()).decode()
    body = {"instances": [{"image_bytes": {"b64": encoded}}]}
    assert "0" == stack.get("REST_PORT", "/v1/models/digits:predict", body)["predictions"][0]["label"]


def test_grpc_answers_the_plain_client(stack, published, digit_image, client):
    with client(stack.grpc) as predict:
        answer = predict("digits", digit_image.read_bytes())
    assert [b"0"] == list(answer.outputs["label"].string_val)
    assert published["model_version"] == answer.model_spec.version.value
