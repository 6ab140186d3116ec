"""The protocol's case collection, where this checkout has it beside itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_CASES = Path(__file__).parents[4] / "shared" / "serving"


@pytest.mark.skipif(not _CASES.is_dir(), reason="the collection of protocol cases is not beside this checkout")
def test_all_cases_byte_for_byte(run_server, tmp_path):
    config = tmp_path / "models.config"
    config.write_text((_CASES / "models.config").read_text().replace("${MODELS}", str(_CASES / "models")))
    with run_server(tmp_path, model_config_file=str(config)) as running:
        address = running.rest.removeprefix("http://")
        result = subprocess.run(
            [
                sys.executable,
                _CASES / "run_conformance.py",
                _CASES / "cases.json",
                "--exact",
                "--rest",
                address,
                "--grpc",
                running.grpc,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    assert 0 == result.returncode, result.stdout
