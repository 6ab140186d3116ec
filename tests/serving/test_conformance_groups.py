"""The protocol's cases that need a server set up in another way, where this checkout has them beside itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_CASES = Path(__file__).parents[3] / "shared" / "serving"


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
@pytest.mark.parametrize(("group", "count"), [("cors", 2), ("health", 2), ("no_monitoring", 1)])
def test_all_cases_of_a_group(everything, group, count):
    address = everything.rest.removeprefix("http://")
    where = ["--rest", address, "--grpc", everything.grpc, "--server", group]
    result = subprocess.run(
        [sys.executable, _CASES / "run_conformance.py", _CASES / "cases.json", "--exact", *where],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, True) == (result.returncode, f"{count} passed, 0 failed" in result.stdout), result.stdout
