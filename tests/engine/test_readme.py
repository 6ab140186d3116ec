"""The commands of the README's section "Deploy", as they stand there, on the ports of this stack."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"^```console docker\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
COMMANDS = [line.removeprefix("$ ") for block in BLOCKS for line in block.splitlines() if line.startswith("$ ")]
PORTS = {"5000": "MLFLOW_PORT", "8501": "REST_PORT", "8500": "GRPC_PORT"}


@pytest.fixture(scope="module")
def folder(stack, published, digit_image):
    shutil.copy(digit_image, stack.folder / "zero.png")
    return stack.folder


def test_there_are_commands():
    assert {"keraspipe secrets", "docker compose up -d", "docker compose run --rm pipeline run digits"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_does_what_the_readme_says(stack, folder, command):
    here = re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{stack.ports[PORTS[found[1]]]}", command)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # The copy's own code, for which .env and secrets are those of the copy.
    own = {"PYTHONPATH": str(folder), "KERASPIPE_WORKSPACE": str(folder / "workspace")}
    environment = {**os.environ, "PATH": path, **own}
    done = subprocess.run(
        ["bash", "-c", here], cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert str(ROOT) not in done.stdout
    if command.startswith("curl"):
        assert '"label": "0"' in done.stdout
