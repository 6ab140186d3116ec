"""keraspipe on the host works against the stack by settings alone."""


def test_a_run_on_the_host_is_in_the_stacks_mlflow(stack, keraspipe_in, tmp_path):
    keraspipe = keraspipe_in(tmp_path, MLFLOW_TRACKING_URI=stack.url("MLFLOW_PORT"))
    result = keraspipe("run", "digits", "--quick", "--json").json
    run = stack.get("MLFLOW_PORT", f"/api/2.0/mlflow/runs/get?run_id={result['mlflow_run_id']}")["run"]
    assert "FINISHED" == run["info"]["status"]


def test_predict_asks_the_stacks_servers(stack, published, keraspipe, digit_image):
    for address in (("--url", stack.rest), ("--grpc", stack.grpc)):
        answer = keraspipe("predict", "digits", digit_image, *address, "--json")
        assert 0 == answer.code, answer.err
        assert '"label": "0"' in answer.out
