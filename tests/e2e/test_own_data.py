"""Tables of one's own, from `new` over `run --quick` to `predict --file`: each takes what the one before wrote."""

from __future__ import annotations

import csv
import json
import math
import random
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from .conftest import AWAY

if TYPE_CHECKING:
    from pathlib import Path

HEADER = ["class", "trunk width (cm)", "Größe", "Art"]  # a word of Python, blanks, an umlaut
KINDS = ["Föhre", "Lärche"]
ROWS = 600
FIRST_DAY, DAYS, GAPS = date(2023, 1, 2), 500, range(17, 500, 61)


def trees() -> list[list[str]]:
    """Rows whose kind follows from both numbers; a tenth of the cells is missing."""
    drawn = random.Random(1)
    rows = []
    for _ in range(ROWS):
        kind, place = drawn.choice(KINDS), drawn.choice(["Süd", "Nord"])
        wide, tall = (40, 30) if kind == "Föhre" else (20, 12)
        cells = [place, f"{drawn.gauss(wide, 5):.1f}", f"{drawn.gauss(tall, 4):.1f}"]
        rows.append([*(cell if drawn.random() > 0.1 else "" for cell in cells), kind])
    return rows


def write(path: Path, rows: list[list[str]], encoding: str = "utf-8", delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def command(tmp_path_factory, keraspipe_in):
    """The command line on a folder for recipes of one's own, and no MLflow."""
    folder = tmp_path_factory.mktemp("own")
    return keraspipe_in(folder, KERASPIPE_RECIPES=str(folder / "recipes"), **AWAY)


def publish(command, name: str, *arguments: str | Path) -> str:
    """Writes a recipe and runs it quickly; what `new` said."""
    written = command("new", name, *arguments)
    assert (0, "") == (written.code, written.err)
    ended = command("run", name, "--quick", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["blessed"]
    return written.out


@pytest.fixture(scope="module")
def forest(command):
    """The table that a version was made of, and what `new` said of it."""
    path = write(command.workspace.parent / "forest.csv", [HEADER, *trees()], "cp1252")
    return path, publish(command, "forest", "--data", path, "--target", "Art", "--encoding", "cp1252")


@pytest.mark.long
def test_a_table_is_answered_row_by_row_under_the_names_of_its_file(command, forest, tmp_path):
    path, said = forest
    assert "trunk width (cm) is trunk_width_cm" in said
    out = tmp_path / "answers.csv"
    answer = command("predict", "forest@1", "--file", path, "--out", out, "--encoding", "cp1252")
    assert (0, f"{ROWS} rows") == (answer.code, answer.out[: len(f"{ROWS} rows")]), answer.err
    assert "without a prediction" not in answer.out
    rows = read(out)
    assert [*HEADER, "predicted_Art", "probability_Föhre", "probability_Lärche"] == list(rows[0])
    assert trees() == [[row[name] for name in HEADER] for row in rows]
    for row in rows:
        shares = {kind: float(row[f"probability_{kind}"]) for kind in KINDS}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
        assert row["predicted_Art"] == max(shares, key=shares.get)
    complete = [row for row in rows if row["Größe"]]
    assert sum(row["predicted_Art"] == row["Art"] for row in complete) > 0.8 * len(complete)


@pytest.mark.long
def test_another_encoding_than_the_named_one_costs_no_sound_row(command, forest, tmp_path):
    out = tmp_path / "answers.csv"
    rows = [HEADER, *([row[0].replace("Süd", "Sud"), *row[1:3], ""] for row in trees()[:20])]
    path = write(tmp_path / "mixed.csv", [["class", "trunk width (cm)", "Größe", "Art"], *rows[1:]], "utf-8")
    with path.open("ab") as file:
        file.write("Süd,20,30,\n".encode("cp1252"))
    answer = command("predict", "forest@1", "--file", path, "--out", out)
    assert answer.code == 0, answer.err
    assert len(read(out)) == 20
    (reason,) = map(json.loads, out.with_name("answers.csv.bad.jsonl").read_text().splitlines())
    assert reason["place"] == "line 22"
    assert "see --encoding" in reason["reason"]


@pytest.mark.long
def test_the_names_of_the_recipe_and_missing_values_are_answered_alike(command, forest, tmp_path):
    path, said = forest
    (names,) = (line for line in said.splitlines() if line.startswith("Names of inputs: "))
    pairs = names.removeprefix("Names of inputs: ").partition(";")[0].replace(" and ", ", ").split(", ")
    called = dict(pair.split(" is ") for pair in pairs)
    assert called.keys() == {"class", "trunk width (cm)", "Größe"}
    lines = [
        json.dumps({called[name]: cell for name, cell in zip(HEADER[:3], row, strict=False) if cell}) for row in trees()
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    answers = []
    for number, file in enumerate([tmp_path / "rows.jsonl", path]):  # of the same encoding as that of the training
        out = tmp_path / f"answers{number}.csv"
        assert command("predict", "forest@1", "--file", file, "--out", out).code == 0
        answers.append([row["predicted_Art"] for row in read(out)])
    assert answers[0] == answers[1]


def sales() -> list[tuple[date, float]]:
    """A week's wave by day, with days that are not there."""
    drawn = random.Random(1)
    days = [FIRST_DAY + timedelta(days=number) for number in range(DAYS) if number not in GAPS]
    return [(day, round(50 + 20 * math.sin(2 * math.pi * day.weekday() / 7) + drawn.gauss(0, 2), 2)) for day in days]


@pytest.fixture(scope="module")
def sold(command):
    """The series that a version was made of; some cells are empty."""
    rows = [[str(day), "" if number % 50 == 9 else str(value)] for number, (day, value) in enumerate(sales())]
    path = write(command.workspace.parent / "sold.csv", [["Tag", "Verkauf (€)"], *rows])
    said = publish(command, "sold", "--data", path)
    assert "Verkauf (€) is the target: forecasting" in said
    return path


def expected(first: date, count: int) -> list[str]:
    return [str(first + timedelta(days=number)) for number in range(count)]


@pytest.mark.long
def test_a_series_with_gaps_is_answered_with_its_next_days(command, sold, tmp_path):
    out = tmp_path / "next.csv"
    answer = command("predict", "sold@1", "--file", sold, "--out", out)
    assert answer.code == 0, answer.err
    assert answer.out.startswith(f"{len(sales())} rows")
    rows = read(out)
    assert ["Tag", "predicted_Verkauf (€)"] == list(rows[0])
    first = FIRST_DAY + timedelta(days=DAYS)
    assert expected(first, 7) == [row["Tag"] for row in rows]
    values = [float(row["predicted_Verkauf (€)"]) for row in rows]
    assert all(20 < value < 80 for value in values)  # of a few epochs only: in the range of the data, and no constant
    assert len(set(values)) == 7


@pytest.mark.long
def test_a_series_is_read_as_the_options_say_and_in_any_order(command, sold, tmp_path):
    recent = [[str(day), f"{value:.2f}"] for day, value in reversed(sales()[-40:])]
    plain = write(tmp_path / "plain.csv", [["Tag", "Verkauf (€)"], *recent])
    commas = [[day, value.replace(".", ",")] for day, value in recent]
    other = write(tmp_path / "commas.csv", [["Tag", "Verkauf (€)"], *commas], "cp1252", ";")
    answers = []
    for number, (file, options) in enumerate([(plain, ()), (other, ("--encoding", "cp1252", "--decimal", ","))]):
        out = tmp_path / f"next{number}.csv"
        answer = command("predict", "sold@1", "--file", file, "--out", out, *options)
        assert answer.code == 0, answer.err
        answers.append(read(out))
    assert answers[0] == answers[1]
    assert expected(FIRST_DAY + timedelta(days=DAYS), 7) == [row["Tag"] for row in answers[0]]


@pytest.mark.long
def test_what_a_server_asks_first_of_a_forecast_is_answered(command, sold):
    """Or it would not serve the version."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    folder = command.workspace / "serving/sold/1"
    signatures = tf.saved_model.load(str(folder)).signatures
    for record in tf.data.TFRecordDataset(str(folder / "assets.extra/tf_serving_warmup_requests")):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        assert signatures[request.model_spec.signature_name](**inputs)
