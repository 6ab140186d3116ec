"""Names that mean a path, or nothing, to somebody: in addresses, in pages, in the request log's folders."""

from __future__ import annotations

import json
import os
import shutil
from urllib.parse import quote

import pytest

from serving.request_log import files

ODD = ["..", ".", "../half", "../../etc/passwd", "half/../echo", "half\0", "\0", "\udcff\udcfe", "half ", "%", "%2f",
       "C:\\half", "~", "half\r\nX: y", "\u202e", "a" * 3000, "half?a=b", "half#", "ﬁ"]  # fmt: skip


def _get(path):
    return b"GET %s HTTP/1.1\r\n\r\n" % path.encode("utf-8", "surrogateescape")


def _quoted(text):
    return json.dumps(str(text), ensure_ascii=False)


def _encoded(name):
    return quote(name, safe="", errors="surrogateescape")


@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize(
    "path",
    ["/v1/models/{}", "/v1/models/{}/metadata", "/v1/models/{}/versions/2", "/models/{}/openapi.json"],
)
def test_no_name_leads_elsewhere(hostile, exchange, path, name):
    answer = exchange(hostile, _get(path.format(_encoded(name))))
    assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n"), answer
    assert 1 == answer.count(b"\r\n\r\n")
    body = answer.partition(b"\r\n\r\n")[2]
    assert name in json.loads(body.decode("utf-8", "surrogateescape"), strict=False)["error"]


@pytest.mark.parametrize("name", [name for name in ODD if len(name) < 1000], ids=range(len(ODD) - 1))
def test_no_label_leads_elsewhere(hostile, exchange, name):
    answer = exchange(hostile, _get(f"/v1/models/half/labels/{_encoded(name)}/metadata"))
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n"), answer
    assert b"Unrecognized servable version label: " in answer


@pytest.mark.parametrize("raw", ["..", "%2e%2e/half", "half/..", "..%5chalf", "half%00", "%ff", "\udcff"])
def test_undecoded_paths(hostile, exchange, raw):
    for path in (f"/v1/models/{raw}", f"/models/{raw}/openapi.json", f"/{raw}/healthz", f"/monitoring/{raw}"):
        status = exchange(hostile, _get(path)).split(b" ", 2)[1]
        assert status in {b"400", b"404"}, path


@pytest.mark.parametrize("name", [*ODD, "", ".hidden", "-", "a/b", "\n"], ids=range(len(ODD) + 5))
def test_folders_of_the_request_log_lie_directly_below_it(tmp_path, name):
    path = files.model_folder(tmp_path, name)
    assert path.parent == tmp_path
    assert path.name not in {"", ".", ".."}
    assert os.fspath(path.resolve().parent) == os.fspath(tmp_path.resolve())
    assert not set("/\0\n\r") & set(path.name)


def test_models_with_odd_names_are_served_and_logged(saved, tmp_path, run_server, exchange, wait_for):
    names = ["..half", "half:1", "mod\u00e9le", "a b", "%2e%2e", "h\nx"]
    base, logs = tmp_path / "base", tmp_path / "logs"
    for name in names:
        shutil.copytree(saved / "linear_1", base / name / "1")
    log = (
        f'log_collector_config {{ type: "tfrecord" filename_prefix: "{logs}" }} sampling_config {{ sampling_rate: 1 }}'
    )
    config = "".join(
        f'config {{ name: {_quoted(name)} base_path: {_quoted(base / name)} model_platform: "tensorflow" '
        f"logging_config {{ {log} }} }}\n"
        for name in names
    )
    (tmp_path / "models.config").write_text(f"model_config_list {{ {config} }}")
    with run_server(base, base_path=None, model_config_file=str(tmp_path / "models.config")) as server:
        for name in names:
            body = b'{"instances": [2.0]}'
            head = f"POST /v1/models/{_encoded(name)}:predict HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
            answer = exchange(server, head.encode() + body)
            assert answer.startswith(b"HTTP/1.1 200 OK"), answer
        assert 0 == server.terminate()
    assert sorted(files.model_folder(logs, name).name for name in names) == sorted(path.name for path in logs.iterdir())
    assert {"base", "logs", "models.config"} == {path.name for path in tmp_path.iterdir()}
