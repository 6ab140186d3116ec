import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from argparse import Namespace
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import host
from pipeline.commands.doctor import command
from pipeline.deployment import doctor
from pipeline.settings import Settings
from pipeline.store import layout
from pipeline.store.layout import Workspace

GIB = 1024**3
numbers = st.lists(st.integers(0, 10_000), min_size=1, max_size=4).map(tuple)


def text_of(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


@given(numbers, st.sampled_from(["", "-9+deb12u7", "rc1", "+cpu", " \n"]))
def test_version_tuple_reads_the_leading_numbers(version, rest):
    assert version == doctor.version_tuple(text_of(version) + rest)


@given(st.text())
def test_version_tuple_takes_any_text(text):
    assert all(part >= 0 for part in doctor.version_tuple(text))


@given(numbers, numbers)
def test_glibc_is_compared_as_numbers_not_as_text(a, b):
    older, newer = sorted([a, b])
    assert doctor.glibc(text_of(newer)).ok >= doctor.glibc(text_of(older)).ok


@pytest.mark.parametrize(
    ("version", "ok"),
    [("2.28", True), ("2.36", True), ("3.0", True), ("2.27", False), ("2.5", False), ("", False)],
)
def test_glibc(version, ok):
    assert ok == doctor.glibc(version).ok


def test_another_c_library_is_named():
    assert doctor.glibc("").found == "not glibc"


@pytest.mark.parametrize(("version", "ok"), [((3, 11), True), ((3, 12), False), ((3, 9), False)])
def test_python(version, ok):
    assert ok == doctor.python(version).ok


@pytest.mark.parametrize(
    ("system", "processor", "ok"),
    [("Linux", "x86_64", True), ("Linux", "aarch64", False), ("Darwin", "arm64", False)],
)
def test_architecture(system, processor, ok):
    assert ok == doctor.architecture(system, processor).ok


def test_packages_as_locked():
    finding = doctor.packages({"a": {"1.0", "2.0"}}, {"a": "2.0", "pip": "25"}, ["a"])
    assert finding.ok


def test_packages_name_what_is_missing_and_what_differs():
    finding = doctor.packages({"a": {"1.0"}, "b": {"1"}}, {"a": "1.1"}, ["a", "b"])
    assert finding.found == "b is missing; a 1.1 (locked: 1.0)"


def test_packages_shorten_a_long_list():
    locked = {f"p{i}": {"1"} for i in range(9)}
    assert doctor.packages(locked, {}, locked).found.endswith("; and 6 more")


@pytest.mark.parametrize(
    ("driver", "cuda", "ok", "word"),
    [
        (None, False, True, "none"),
        ("", False, False, "does not answer"),
        ("470.256.02", True, False, "older than 525.60.13"),
        ("525.60.13", True, True, "driver 525.60.13"),
        ("560.35.03", False, False, "no CUDA packages"),
    ],
)
def test_gpu(driver, cuda, ok, word):
    finding = doctor.gpu(driver, cuda)
    assert (ok, False) == (finding.ok, finding.essential)
    assert word in finding.found


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023",
            "535.104.05",
        ),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  560.35.03  Release Build", "560.35.03"),
        ("550.54\n550.54", "550.54"),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", ""),
        ("", ""),
    ],
)
def test_driver_version(text, version):
    assert version == host.driver_version(text)


@pytest.mark.parametrize(
    ("holder", "ok"), [(None, True), ("keraspipe (process 7)", True), ("postgres (process 7)", False)]
)
def test_port(holder, ok):
    finding = doctor.port(8501, holder)
    assert (ok, False) == (finding.ok, finding.essential)


@pytest.mark.parametrize("number", doctor.PORTS)
def test_a_taken_port_is_answered_with_a_command(number):
    assert doctor.port(number, "nginx (process 1)").fix.startswith("keraspipe ")


def test_disk_and_memory():
    assert doctor.disk(2 * GIB, Path("/w")).ok
    assert not doctor.disk(2 * GIB - 1, Path("/w")).ok
    assert not doctor.memory(GIB).ok
    assert not doctor.memory(GIB).essential


def every_wrong_finding() -> list[doctor.Finding]:
    folder = Path("/nowhere")
    return [
        doctor.glibc("2.17"),
        doctor.python((3, 12)),
        doctor.architecture("Linux", "aarch64"),
        doctor.packages({"a": {"1"}}, {}, ["a"]),
        doctor.workspace(folder, "is a file"),
        doctor.disk(0, folder),
        doctor.memory(0),
        doctor.gpu("", cuda_packages=False),
        doctor.gpu("1.0", cuda_packages=False),
        doctor.gpu("999.0", cuda_packages=False),
        doctor.port(5000, "x"),
        doctor.data(folder, exists=False, problem="is a file"),
        doctor.compose(""),
        doctor.recipes([folder]),
    ]


@pytest.mark.parametrize("finding", every_wrong_finding(), ids=lambda finding: finding.found)
def test_what_is_wrong_has_a_fix_and_what_is_right_has_none(finding):
    assert not finding.ok
    assert finding.fix


def test_locked_and_needed_are_read(tmp_path):
    lock = tmp_path / "uv.lock"
    lock.write_text('version = 1\n\n[[package]]\nname = "a"\nversion = "1"\n\n[[package]]\nname = "a"\nversion = "2"\n')
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\ndependencies = ["A_b[x]>=1", "win; sys_platform == \'win32\'"]\n')
    assert host.locked_versions(lock) == {"a": {"1", "2"}}
    assert host.required_packages(project) == ["a-b"]
    assert host.locked_versions(tmp_path / "absent") == {}
    assert host.required_packages(tmp_path / "absent") == []


def test_a_workspace_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    assert host.write_problem(tmp_path / "file/workspace").endswith("is a file")


def test_a_workspace_that_does_not_exist_yet_is_fine_and_stays_away(tmp_path):
    assert host.write_problem(tmp_path / "a/b") == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_workspace(tmp_path):
    tmp_path.chmod(0o500)
    assert "Permission denied" in host.write_problem(tmp_path)


def test_the_system_itself_refuses():
    assert host.write_problem(Path("/proc/keraspipe"))


def test_listeners_names_the_process():
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        assert f"process {os.getpid()}" in host.listeners([number])[number]


@pytest.mark.process
def test_a_command_that_is_missing_or_fails_gives_nothing():
    assert host.command_output("no-such-command-at-all") == ""
    assert host.command_output(sys.executable, "-c", "raise SystemExit(3)") == ""


@pytest.fixture
def settings(tmp_path):
    return Settings(workspace=Workspace(tmp_path / "workspace"), data=tmp_path / "data", recipe_folders=(tmp_path,))


@pytest.mark.process
def test_missing_recipe_folders_are_essential(settings, capsys):
    broken = replace(settings, recipe_folders=(Path("/nowhere"),))
    assert command(Namespace(json=True, repair=False), broken) == 1
    findings = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert "/nowhere" in findings["recipes"]["found"]


def test_notes_do_not_fail(settings, monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda _: [doctor.compose(""), doctor.python((3, 11))])
    assert command(Namespace(json=False, repair=False), settings) == 0


def test_the_table_says_ok_note_or_wrong_in_words(settings):
    lines = doctor.table([doctor.python((3, 11)), doctor.compose(""), doctor.python((3, 9))]).splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "note", "fix:", "wrong", "fix:"]


EXAMINE = """
import sys
from pathlib import Path
from pipeline.deployment.doctor import examine
from pipeline.settings import Settings
from pipeline.store import layout
from pipeline.store.layout import Workspace
examine(Settings(workspace=Workspace(Path(sys.argv[1])), data=Path(sys.argv[1])))
print([name for name in ("tensorflow", "keras", "mlflow", "numpy") if name in sys.modules])
"""


@pytest.mark.process
def test_doctor_is_quick_and_imports_nothing_heavy(tmp_path):
    started = time.perf_counter()
    answer = subprocess.run([sys.executable, "-c", EXAMINE, tmp_path], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
    assert time.perf_counter() - started < 3  # 0.2 s alone; the tests share the machine


def test_published_version_with_an_unchecked_decoder_is_named(tmp_path):
    home = Workspace(tmp_path)
    for name, version, node in (("a", 1, b"map/decode_image/DecodeImage"), ("a", 2, b"map/checked_decode/DecodeImage")):
        home.model(name, version).mkdir(parents=True)
        field = b"\n" + bytes([len(node)]) + node + b"\x12\x0bDecodeImage"
        (home.model(name, version) / "saved_model.pb").write_bytes(b"\x08\x01" + field)
    assert ["a@1"] == doctor.unchecked_versions(home)
    found = doctor.decoders(doctor.unchecked_versions(home))
    assert (False, "keraspipe run a") == (found.ok, found.fix.rpartition(": ")[2])
    assert "a@1" in found.found
    assert doctor.decoders([]).ok


def test_damaged_files_are_essential_and_repaired(settings, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda _: [])
    layout.prepare(settings.workspace)
    settings.workspace.format_file.write_text("")
    assert command(Namespace(json=False, repair=False), settings) == 1
    assert "fix: keraspipe doctor --repair" in capsys.readouterr().out
    assert command(Namespace(json=False, repair=True), settings) == 0
    assert capsys.readouterr().err == "Repaired: workspace.json is written again\n"


def test_a_workspace_that_was_elsewhere_is_a_note(settings, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda _: [])
    layout.prepare(settings.workspace)
    with closing(sqlite3.connect(settings.workspace.metadata_db)) as connection, connection:
        connection.execute("CREATE TABLE Artifact (uri)")
        connection.execute("INSERT INTO Artifact VALUES ('/former/artifacts/plain/train/model/1')")
    assert command(Namespace(json=False, repair=False), settings) == 0
    assert "the databases lead to /former/artifacts" in capsys.readouterr().out
    assert command(Namespace(json=False, repair=True), settings) == 0
    assert "/former" not in capsys.readouterr().out
