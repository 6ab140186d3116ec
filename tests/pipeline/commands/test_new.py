"""`keraspipe new`: where the file goes, what is printed, and that the recipe runs."""

from __future__ import annotations

import csv
import json
import math
import random
import subprocess
import sys
import wave
from datetime import date, timedelta

import pytest

from pipeline import cli
from pipeline.settings import ROOT


@pytest.fixture
def new(tmp_path, monkeypatch, capsys):
    """The command line in this process, with a folder of recipes of its own."""
    monkeypatch.setenv("KERASPIPE_RECIPES", str(tmp_path / "recipes"))
    monkeypatch.delenv("KERASPIPE_DEBUG", raising=False)

    def call(*arguments):
        try:
            code = cli.main(["new", *map(str, arguments)])
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return call


def flowers(path, rows=300):
    """A table from which the target follows, but for a tenth."""
    drawn = random.Random(1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["petal length (cm)", "colour", "species"])
        for _ in range(rows):
            length, colour = round(drawn.uniform(1, 6), 2), drawn.choice(["red", "blue"])
            species = "rose" if (length > 3) == (colour == "red") else "iris"
            writer.writerow([length, colour, species if drawn.random() > 0.1 else "rose"])
    return path


@pytest.mark.parametrize(
    ("out", "reason"),
    [("flowers.csv", "File exists"), ("flowers.csv/below", "Not a directory"), ("a" * 300, "File name too long")],
)
def test_a_place_for_the_recipe_that_cannot_be_is_named(new, tmp_path, out, reason):
    data = flowers(tmp_path / "flowers.csv")
    code, _, err = new("flowers", "--data", data, "--target", "species", "--out", tmp_path / out)
    assert code == 1
    assert err.startswith(f"keraspipe: {tmp_path / out}")
    assert "cannot be used." in err
    assert f"Received: {reason}\n" in err


def test_writes_a_recipe_and_says_what_it_found(new, tmp_path):
    code, out, err = new("flowers", "--data", flowers(tmp_path / "flowers.csv"), "--target", "species")
    assert (0, "") == (code, err)
    table = {line.split("  ")[0]: line.split() for line in out.splitlines()}
    assert ["column", "kind", "missing", "distinct", "used", "as"] == table["column"]
    assert "number: scaled" in out
    assert "category: embedding" in out
    assert f"Written: {tmp_path / 'recipes' / 'flowers.py'}\n" in out
    assert out.endswith("Next: keraspipe run flowers\n")
    assert (
        'DATA = RenamedColumns(\n    Csv(\n        path="' + str(tmp_path)
        in (tmp_path / "recipes/flowers.py").read_text()
    )


def test_out_is_no_file(new, tmp_path):
    code, _, err = new("flowers", "--data", flowers(tmp_path / "f.csv"), "--out", tmp_path / "own" / "flowers.py")
    assert 2 == code
    assert f"Next: --out {tmp_path / 'own'}; the file is called flowers.py" in err
    assert not (tmp_path / "own").exists()


def test_nothing_is_overwritten_without_force(new, tmp_path):
    data = flowers(tmp_path / "flowers.csv")
    file = tmp_path / "recipes" / "flowers.py"
    file.parent.mkdir()
    file.write_text("mine")
    code, _, err = new("flowers", "--data", data, "--target", "species")
    assert 2 == code
    assert "exists already" in err
    assert "--force" in err
    assert "mine" == file.read_text()
    assert 0 == new("flowers", "--data", data, "--target", "species", "--force")[0]
    assert "RECIPE = Recipe(" in file.read_text()


def test_another_folder_and_the_command_that_finds_it(new, tmp_path):
    out = new("flowers", "--data", flowers(tmp_path / "f.csv"), "--target", "species", "--out", tmp_path / "own")[1]
    assert (tmp_path / "own" / "flowers.py").exists()
    assert f"Next: KERASPIPE_RECIPES={tmp_path / 'own'} keraspipe run flowers" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("digits",), "A recipe digits exists already."),
        (("my-flowers",), "This cannot be the name of a recipe."),
        (("flowers", "--target", "specis"), "did you mean species?"),
        (("flowers", "--task", "guessing"), "invalid choice: 'guessing'"),
    ],
    ids=["taken", "name", "target", "task"],
)
def test_wrong_usage_ends_with_two_and_writes_nothing(new, tmp_path, arguments, words):
    code, out, err = new(*arguments, "--data", flowers(tmp_path / "flowers.csv"))
    assert (2, "") == (code, out)
    assert words in err
    assert "Next: " in err
    assert [] == list(tmp_path.glob("recipes/*"))


def test_no_data(new, tmp_path):
    code, _, err = new("flowers", "--data", tmp_path / "none.csv")
    assert 2 == code
    assert "There is nothing at" in err


@pytest.mark.process
def test_tensorflow_is_not_needed(tmp_path):
    code = "import sys; from pipeline import cli; cli.main(sys.argv[1:]); print('tensorflow' in sys.modules)"
    data = flowers(tmp_path / "flowers.csv")
    arguments = ["new", "flowers", "--data", data, "--target", "species", "--out", tmp_path]
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "False" == done.stdout.splitlines()[-1]


def blessed(keraspipe, tmp_path, data, *arguments):
    """Writes a recipe for the data and runs it as it is; the metrics."""
    recipes = {"KERASPIPE_RECIPES": str(tmp_path / "recipes")}
    written = keraspipe("new", "mine", "--data", data, *arguments, **recipes)
    assert (0, "") == (written.code, written.err)
    away = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}  # nobody looks at it here, and recording is half of a run
    result = keraspipe("run", "mine", "--json", **recipes, **away)
    assert 0 == result.code, result.err
    assert result.json["blessed"]
    return result.json["metrics"]


def test_a_table_is_learnt_without_an_edit(keraspipe, tmp_path):
    metrics = blessed(keraspipe, tmp_path, flowers(tmp_path / "flowers.csv"), "--target", "species")
    assert metrics["accuracy"] > 0.8


@pytest.mark.slow
def test_images_are_learnt_without_an_edit(keraspipe, tmp_path):
    from PIL import Image

    drawn = random.Random(1)
    for number in range(200):
        path = tmp_path / "stripes" / ("across" if number % 2 else "down") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        phase, noise = drawn.randint(0, 5), [drawn.randint(0, 60) for _ in range(256)]
        pixels = [150 * (((i // 16 if number % 2 else i % 16) + phase) % 6 < 3) + noise[i] for i in range(256)]
        Image.frombytes("L", (16, 16), bytes(pixels)).save(path)
    assert blessed(keraspipe, tmp_path, tmp_path / "stripes")["accuracy"] > 0.9


@pytest.mark.slow
def test_texts_are_learnt_without_an_edit(keraspipe, tmp_path):
    drawn = random.Random(1)
    for number in range(400):
        name, word = ("good", "great fine") if number % 2 else ("bad", "awful dull")
        path = tmp_path / "opinions" / name / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(" ".join(drawn.choices([*word.split(), "the", "film", "was", "and", str(number)], k=12)))
    assert blessed(keraspipe, tmp_path, tmp_path / "opinions")["accuracy"] > 0.85


@pytest.mark.slow
def test_recordings_are_learnt_without_an_edit(keraspipe, tmp_path):
    drawn = random.Random(1)
    for number in range(200):
        name, pitch = ("high", 1500) if number % 2 else ("low", 400)
        path = tmp_path / "tones" / name / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        hertz = pitch * drawn.uniform(0.8, 1.2)
        samples = [int(8000 * math.sin(2 * math.pi * hertz * t / 8000) + drawn.gauss(0, 2000)) for t in range(4000)]
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 8000, 4000, "NONE", ""))
            file.writeframes(b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples))
    assert blessed(keraspipe, tmp_path, tmp_path / "tones")["accuracy"] > 0.9


@pytest.mark.slow
def test_a_series_is_forecast_without_an_edit(keraspipe, tmp_path):
    drawn, path = random.Random(1), tmp_path / "sales.csv"
    days = [date(2018, 1, 1) + timedelta(days=number) for number in range(1400)]
    wave_ = [60 + 20 * math.sin(number / 30) + 10 * (day.weekday() > 4) for number, day in enumerate(days)]
    rows = [f"{day},{level + drawn.gauss(0, 2):.2f}" for day, level in zip(days, wave_, strict=True)]
    path.write_text("\n".join(["day,sold", *rows]) + "\n")
    assert blessed(keraspipe, tmp_path, path, "--target", "sold")["skill"] > 0.2


@pytest.mark.slow
def test_json_lines_with_everything_are_learnt_without_an_edit(keraspipe, tmp_path):
    drawn, path = random.Random(1), tmp_path / "visits.jsonl"
    with path.open("w") as file:
        for _ in range(600):
            day, shop = date(2021, 1, 1) + timedelta(days=drawn.randint(0, 700)), drawn.choice(["a", "b", "c"])
            levels = [drawn.gauss(0, 1) for _ in range(3)]
            visits = 50 + 15 * (shop == "a") + 10 * (day.weekday() > 4) + 5 * levels[0] + drawn.gauss(0, 2)
            note = " ".join(drawn.choices(["sun", "rain", "fair", "queue", "late"], k=5))
            row = {"day": str(day), "shop/name": shop, "levels": levels, "note": note, "visits": round(visits, 1)}
            file.write(json.dumps(row) + "\n")
    assert blessed(keraspipe, tmp_path, path, "--target", "visits")["mae"] < 6


def purchases(path, users=150, time=False):
    """Customers who buy within a theme of their own, most of all what is in front; ids are texts."""
    drawn, rows = random.Random(1), []
    for user in range(users):
        theme, name = user % 3, (f"{user:03}", f"Kunde Nr {user}", f"Ü-{user}")[user % 3]
        chosen = dict.fromkeys(min(int(drawn.expovariate(0.1)), 39) for _ in range(30))
        rows += [(name, f"{theme}{place:02} Größe", f"2024-01-{day % 28 + 1:02}") for day, place in enumerate(chosen)]
    with path.open("w", newline="", encoding="utf-8") as file:
        names = ["customer_id", "product", "date"]
        csv.writer(file).writerows(row[: 2 + time] for row in [names, *rows])
    return path


@pytest.mark.heavy
def test_a_table_of_interactions_is_recognised_and_another_reading_is_named(new, tmp_path):
    data = purchases(tmp_path / "purchases.csv", time=True)
    code, out, err = new("shop", "--data", data)
    assert (0, "") == (code, err)
    assert "A table of interactions: customer_id takes product; a recommender is written." in out
    assert "--user and --item name other columns, --target COLUMN predicts a column instead." in out
    assert "The gate requires lift at least 1.1." in out
    assert 2 == new("shop", "--data", data, "--user", "buyer", "--force")[0]
    code, out, err = new("shop", "--data", data, "--item", "prodct", "--force")
    assert (2, "") == (code, out)
    assert "did you mean product?" in err


@pytest.mark.slow
def test_who_takes_what_is_learnt_without_an_edit(keraspipe, tmp_path):
    data = purchases(tmp_path / "purchases.csv")
    recipes = {"KERASPIPE_RECIPES": str(tmp_path / "recipes"), "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    written = keraspipe("new", "mine", "--data", data, **recipes)
    assert (0, "") == (written.code, written.err)
    result = keraspipe("run", "mine", "--quick", "--json", **recipes)
    assert 0 == result.code, result.err
    assert result.json["blessed"]
    known, unknown = keraspipe("predict", "mine@1", "003", "nobody", "--json", **recipes).json["predictions"]
    assert (0, 1) == (known["cold"], unknown["cold"])
    assert 10 == len(set(known["item_id"])) == len(set(unknown["item_id"]))
    assert all(item.endswith(" Größe") for item in unknown["item_id"])
    rows = csv.reader(data.read_text(encoding="utf-8").splitlines())
    bought = {item for user, item in rows if user == "003"}
    assert len(bought & set(known["item_id"])) <= 5  # those of eval and test


@pytest.mark.heavy
def test_very_many_columns_are_counted(new, tmp_path):
    drawn = random.Random(1)
    names = [f"c{place}" for place in range(150)]
    rows = [[*(f"{drawn.random():.3f}" for _ in names), drawn.choice("ab")] for _ in range(60)]
    with (tmp_path / "wide.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[*names, "kind"], *rows])
    _, out, _ = new("wide", "--data", str(tmp_path / "wide.csv"), "--target", "kind")
    lines = out.splitlines()
    assert "c39" == lines[40].split()[0]
    assert ["and 111 more:", "  110 x number: scaled", "  1 x target"] == lines[41:44]


def test_names_that_change_are_told_in_full(new, tmp_path):
    drawn, long = random.Random(1), "a" * 60
    rows = [[f"{drawn.random():.3f}", f"{drawn.random():.3f}", drawn.choice("ab")] for _ in range(60)]
    with (tmp_path / "named.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["", f"{long}?", "kind"], *rows])
    _, out, _ = new("named", "--data", str(tmp_path / "named.csv"), "--target", "kind")
    assert f"Names of inputs: (no name) is column, {long[:39]}… is {long}; files and requests may use both." in out
