"""The protocol's cases that need a server set up in another way, where this checkout has them beside itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_CASES = Path(__file__).parents[4] / "shared" / "serving"


@pytest.fixture(scope="module")
def everything(run_server, tmp_path_factory):
    """A server for all groups: CORS, health service, no metrics page."""
    folder = tmp_path_factory.mktemp("groups")
    config = folder / "models.config"
    config.write_text((_CASES / "models.config").read_text().replace("${MODELS}", str(_CASES / "models")))
    with run_server(
        folder, model_config_file=str(config), cors=True, health_service=True, monitoring_path=None
    ) as running:
        yield running


@pytest.mark.skipif(not _CASES.is_dir(), reason="the collection of protocol cases is not beside this checkout")
def test_all_cases_of_the_other_groups(everything, tmp_path):
    groups = {"cors": 2, "health": 2, "no_monitoring": 1}
    cases = [case for case in json.loads((_CASES / "cases.json").read_text()) if case["server"] in groups]
    (tmp_path / "cases.json").write_text(json.dumps([case | {"server": "main"} for case in cases]))
    where = ["--rest", everything.rest.removeprefix("http://"), "--grpc", everything.grpc]
    result = subprocess.run(
        [sys.executable, _CASES / "run_conformance.py", tmp_path / "cases.json", "--exact", *where],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, f"{sum(groups.values())} passed, 0 failed\n") == (result.returncode, result.stdout)
