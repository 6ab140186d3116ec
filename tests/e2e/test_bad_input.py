"""Bad input: a clear error, no traceback, nothing trained."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess

import numpy as np
import pytest
from PIL import Image


def truncated(squares):
    content = (squares.data / "dark" / "0.png").read_bytes()
    (squares.data / "dark" / "0.png").write_bytes(content[: len(content) // 2])


def of_another_size(squares):
    Image.new("L", (9, 8)).save(squares.data / "dark" / "0.png")


def with_alpha(squares):
    Image.new("LA", (8, 8)).save(squares.data / "dark" / "0.png")


def label_outside_the_schema(squares):
    shutil.copytree(squares.data / "dark", squares.data / "gloomy")


def no_files(squares):
    shutil.rmtree(squares.data)
    squares.data.mkdir()


def no_folder(squares):
    shutil.rmtree(squares.data)


def syntax_error(squares):
    squares.edit("def build(p, spec):", "def build(p, spec:")


def no_recipe(squares):
    squares.edit("RECIPE = Recipe(", "OTHER = Recipe(")


def failing_import(squares):
    squares.edit("import keras\n", "import keras\nimport keras.no_such_module\n")


def too_few_outputs(squares):
    squares.edit("Dense(len(spec.classes)", "Dense(5")


def a_feature_that_is_not_there(squares):
    squares.edit('spec.features["image"]', 'spec.features["picture"]')


def a_preprocess_that_fails(squares):
    squares.edit('inputs["image_bytes"]', 'inputs["picture_bytes"]')


def nothing(squares):
    """The data are sound; the command line is not."""


CASES = [
    (truncated, (), 1, "0.png: not a readable image"),
    (of_another_size, (), 1, "size 9x8, expected 8x8 pixels"),
    (with_alpha, (), 1, "an alpha channel, expected grey without alpha"),
    (label_outside_the_schema, (), 1, "label 'gloomy' is not among the declared classes dark, light"),
    (no_files, (), 1, "gives no rows for train and eval and test"),
    (no_folder, (), 1, "There is no folder"),
    (syntax_error, (), 1, "has a syntax error in line"),
    (no_recipe, (), 1, "declares no RECIPE"),
    (failing_import, (), 1, "fails on import"),
    (too_few_outputs, (), 1, "The model does not fit its classes"),
    (a_feature_that_is_not_there, (), 1, "The model cannot be built on its features"),
    (a_preprocess_that_fails, (), 1, "preprocess() of the recipe fails"),
    (nothing, ("--set", "unit=3"), 2, "did you mean units"),
    (nothing, ("--set", "units=many"), 2, "Received: units=many"),
    (nothing, ("--until", "trane"), 2, "invalid choice: 'trane'"),
]


@pytest.mark.parametrize(
    ("spoil", "arguments", "code", "words"), CASES, ids=[f"{c[0].__name__}{i}" for i, c in enumerate(CASES)]
)
def test_bad_input_is_reported_before_any_training(prepared_unrecorded, spoil, arguments, code, words):
    spoil(prepared_unrecorded)
    answer = prepared_unrecorded("run", "squares", *arguments)
    assert code == answer.code, answer.err
    assert words in answer.err
    assert "Traceback" not in answer.err
    assert "epoch 1/" not in answer.err
    assert not (prepared_unrecorded.keraspipe.workspace / "serving").exists()


def test_a_run_says_at_its_end_what_was_left_out(unrecorded, tmp_path):
    """Also from a workspace that was moved."""
    truncated(unrecorded)
    unrecorded.edit("bad_share=0.0", "bad_share=0.1")
    answer = unrecorded("run", "squares", "--until", "ingest")
    kind, home = "Left out: 1 of 120 rows cannot be used: not a readable image.", unrecorded.keraspipe.workspace
    [path] = home.glob("runs/*/report.json")
    assert f"{kind} All of them: {path}" in answer.out
    assert ["0.png: not a readable image" in line for line in json.loads(path.read_text())["bad"]] == [True]
    moved = shutil.move(home, tmp_path / "elsewhere")
    answer = unrecorded("run", "squares", "--until", "ingest", "--workspace", moved)
    assert "Nothing changed since run" in answer.err
    assert f"{kind} All of them: {moved / path.relative_to(home)}" in answer.out


def test_the_report_of_the_run_names_all_bad_rows(unrecorded):
    label_outside_the_schema(unrecorded)
    answer = unrecorded("run", "squares")
    [path] = unrecorded.keraspipe.workspace.glob("runs/*/report.json")
    bad = json.loads(path.read_text())["bad"]
    assert len(list((unrecorded.data / "gloomy").iterdir())) == len(bad)
    assert all("label 'gloomy'" in line for line in bad)
    assert f"… and {len(bad) - 5} more" in answer.err
    assert "report.json in the run's folder lists all" in answer.err
    events = [json.loads(line) for line in path.with_name("journal.jsonl").read_text().splitlines()]
    assert ("data", str(path.relative_to(unrecorded.keraspipe.workspace))) in {
        (event["folder"], event["path"]) for event in events if event["event"] == "file"
    }


CSV_RECIPE = '''"""A table. Paper: none. Data: made by the test. Command: keraspipe run table"""

from dataclasses import dataclass

import keras
import tensorflow as tf
import tensorflow_transform as tft

from pipeline.formats.csv import Csv
from pipeline.recipe import Gate, Hash, Recipe


@dataclass(frozen=True)
class Params:
    epochs: int = 15
    batch_size: int = 16
    patience: int = 15


def preprocess(inputs, p):
    colour = tft.compute_and_apply_vocabulary(inputs["colour"], num_oov_buckets=1)
    return {"size": tft.scale_to_z_score(inputs["size"])[:, None], "colour": colour[:, None]}


def build(p, spec):
    size, colour = keras.Input((1,), name="size"), keras.Input((1,), name="colour", dtype="int64")
    known = keras.layers.Flatten()(keras.layers.Embedding(8, 4)(colour))
    x = keras.layers.Dense(8, "relu")(keras.layers.Concatenate()([size, known]))
    model = keras.Model({"size": size, "colour": colour}, keras.layers.Dense(2, "softmax")(x))
    model.compile(keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


RECIPE = Recipe(
    data=Csv("table.csv", {"size": "float", "colour": "bytes"}, "kind", ("small", "large")),
    split=Hash(eval=0.2, test=0.2),
    params=Params(),
    preprocess=preprocess,
    build=build,
    gate=Gate(at_least={"accuracy": 0.8}),
)
'''


def write_table(path, colours, header="size,colour,kind"):
    random = np.random.default_rng(0)
    rows = [
        f"{size:.3f},{colours[i % len(colours)]},{'large' if size > 0.5 else 'small'}"
        for i, size in enumerate(random.random(300))
    ]
    path.write_text("\n".join([header, *rows]) + "\n")


@pytest.mark.long
def test_a_table_whose_columns_change(tmp_path, keraspipe_in):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "table.py").write_text(CSV_RECIPE)
    places = {"KERASPIPE_RECIPES": str(tmp_path / "recipes"), "KERASPIPE_DATA": str(tmp_path)}
    command = keraspipe_in(tmp_path, **places, MLFLOW_TRACKING_URI="http://127.0.0.1:1")  # nobody looks at it here
    table = tmp_path / "table.csv"

    write_table(table, ["red", "green"], header="size,color,kind")
    answer = command("run", "table")
    assert 1 == answer.code
    assert "lacks the column colour" in answer.err

    write_table(table, ["red", "green"])
    answer = command("run", "table")
    assert 0 == answer.code, answer.err

    write_table(table, ["red", "green", "blue"])
    answer = command("run", "table")
    assert 1 == answer.code
    assert "colour" in answer.err
    assert "keraspipe schema accept table" in answer.err
    assert "epoch 1/" not in answer.err

    assert 0 == command("schema", "accept", "table").code
    answer = command("run", "table", "--until", "validate")
    assert 0 == answer.code, answer.err


def test_a_workspace_of_a_newer_version(keraspipe):
    keraspipe.workspace.mkdir()
    (keraspipe.workspace / "workspace.json").write_text('{"format": 99}')
    answer = keraspipe("run", "digits")
    assert 1 == answer.code
    assert "was written by a newer keraspipe" in answer.err
    assert "Received: format 99" in answer.err


def test_a_workspace_that_is_a_file(keraspipe):
    keraspipe.workspace.write_text("")
    answer = keraspipe("run", "digits")
    assert 1 == answer.code
    assert "cannot be written" in answer.err


@pytest.fixture
def mounted(tmp_path):
    """Mounts a small file system, where the user may."""
    mounts = []

    def mount(options):
        folder = tmp_path / "mounted"
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip(f"mounting a file system needs root: {done.stderr.decode().strip()}")
        mounts.append(folder)
        return folder

    yield mount
    for folder in mounts:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [("size=8m", "too little free space"), ("size=8m,ro", "Read-only file system")],
    ids=["full", "ro"],
)
def test_a_workspace_without_room(mounted, keraspipe, options, words):
    answer = keraspipe("run", "digits", KERASPIPE_WORKSPACE=str(mounted(options)))
    assert 1 == answer.code
    assert words in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.long
def test_mlflow_away_and_back(prepared):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    uri = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
    answer = prepared("run", "squares", "--json", **uri)
    assert 0 == answer.code, answer.err
    assert answer.json["mlflow_run_id"] is None
    assert str(port) in answer.json["not_recorded"]

    import sys

    folder = prepared.keraspipe.workspace.parent / "server"
    folder.mkdir()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder) as server:
        try:
            wait_for(lambda: socket.create_connection(("127.0.0.1", port), 1).close())
            prepared("run", "squares", "--json", **uri)  # from its record; gives the server what it missed
            recorded = prepared.keraspipe.workspace / "runs" / answer.json["run_id"] / "recorded.json"
            wait_for(lambda: assert_complete(recorded))
        finally:
            server.terminate()


def assert_complete(recorded):
    assert json.loads(recorded.read_text())["complete"], recorded.read_text()


def wait_for(check, seconds=90):
    import time

    end = time.monotonic() + seconds
    while True:
        try:
            return check()
        except (OSError, AssertionError, ValueError, KeyError):
            if time.monotonic() > end:
                raise
            time.sleep(0.3)
