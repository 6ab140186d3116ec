import hashlib
import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[2] / "bin/package_index.py"


@pytest.fixture
def script(monkeypatch, tmp_path):
    for name in ("PIP_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    spec = importlib.util.spec_from_file_location("package_index", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "config_files", lambda: [tmp_path / "weak.conf", tmp_path / "strong.conf"])
    return module


def test_without_configuration_it_is_pypi(script):
    assert script.index() == "https://pypi.org/simple"


def test_the_stronger_file_and_the_environment_win(script, tmp_path, monkeypatch):
    (tmp_path / "weak.conf").write_text("[global]\nindex-url = https://weak/simple\ncert = /ca.pem\n")
    (tmp_path / "strong.conf").write_text("[global]\nindex-url = https://strong/simple%20x\n")
    assert script.index() == "https://strong/simple%20x"
    assert script.setting("cert") == "/ca.pem"
    monkeypatch.setenv("PIP_INDEX_URL", "https://environment/simple")
    assert script.index() == "https://environment/simple"


def test_pip_is_fetched_from_the_index_and_checked(script, tmp_path, monkeypatch):
    pages = {
        "https://pypi.org/simple/pip/": f'<a href="../../files/{script.WHEEL}#sha256=1">pip</a>'.encode(),
        f"https://pypi.org/files/{script.WHEEL}": b"wheel",
    }
    monkeypatch.setattr(script, "_get", pages.__getitem__)
    monkeypatch.setattr(script, "SHA256", hashlib.sha256(b"wheel").hexdigest())
    assert script.fetch(tmp_path).read_bytes() == b"wheel"
    monkeypatch.setattr(script, "SHA256", "0")
    with pytest.raises(SystemExit, match="damaged"):
        script.fetch(tmp_path)


def test_an_index_out_of_reach_is_named(script, tmp_path, monkeypatch):
    def refuse(_):
        raise OSError("refused")

    monkeypatch.setattr(script, "_get", refuse)
    with pytest.raises(SystemExit, match="cannot be reached: refused"):
        script.fetch(tmp_path)
