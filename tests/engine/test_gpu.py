"""The profile `gpu` is wired: the trainer asks the engine for GPUs and starts. With stand-ins it gets none."""

import json
import os

import pytest


@pytest.mark.skipif(
    not os.environ.get("KERASPIPE_STANDINS"), reason="needs an engine with GPUs; the wiring is checked with stand-ins"
)
def test_the_trainer_starts_and_asks_for_all_gpus(stack):
    print("WIRING ONLY: a hook that does nothing stands for NVIDIA's, the image has no CUDA")
    started = stack.compose("--profile", "gpu", "run", "--detach", "trainer", "models").split()[-1]
    try:
        assert "0" == stack.run("docker", "wait", started).strip()
        host = json.loads(stack.run("docker", "inspect", started))[0]["HostConfig"]
    finally:
        stack.run("docker", "rm", "--force", started)
    assert [("nvidia", -1, [["gpu"]])] == [
        (one["Driver"], one["Count"], one["Capabilities"]) for one in host["DeviceRequests"]
    ]
