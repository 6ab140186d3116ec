"""Tables: what is made of each column, which task it is, and what is said where nothing can be learnt."""

from __future__ import annotations

import json
import random

import pytest

from pipeline.errors import PipelineError, UsageError
from pipeline.scaffold import choices, inspect
from pipeline.tables.dialect import Dialect


def test_each_column_has_its_use_or_the_reason_why_not(drafted, write_csv, trees):
    found = drafted(write_csv(trees), "grown")
    assert {
        "no": "left out: numbers or names the rows",
        "height (m)": "number: scaled",
        "age": "count: scaled, and embedding of the exact value",
        "price": "amount: scaled, logarithm",
        "owner_id": "key: embedding: whole numbers that name something",
        "kind": "category: embedding",
        "art": "left out: says the same as kind",
        "planted": "date: days, month, weekday and hour",
        "note": "text: words",
        "country": "left out: the same in every row",
        "grown": "target",
    } == found.uses
    assert 'NUMBERS = ("height_m", "age", "price")' in found.text
    assert 'NAMES = {"height_m": "height (m)"}' in found.text


def test_a_copy_of_the_target_is_left_out(drafted, write_csv, trees):
    trees["alive"] = [{"yes": 1, "no": 0}[value] for value in trees["grown"]]
    found = drafted(write_csv(trees), "grown")
    assert "left out: a copy of grown in other words" == found.uses["alive"]
    assert any("alive tells the target" in note for note in found.plan.notes)


UNREAD = "left out: figures that are not read; write 1234.5 without a unit, and 2024-01-31"


@pytest.mark.parametrize("form", ["$ {}", "{} %", "3/4/{}", "(0{}) 55-10", "{}.5 kg", "-{} mm", "0.{}km/h"])
def test_figures_that_are_not_read_are_reported(drafted, write_csv, trees, form):
    trees["odd"] = [form.format(1000 + number) for number in range(200)]
    found = drafted(write_csv(trees), "grown")
    assert UNREAD == found.uses["odd"]


@pytest.mark.parametrize(
    ("forms", "use"),
    [
        (["{} %"], UNREAD),
        (["${}"], UNREAD),
        (["3/4/202{}"], UNREAD),
        (["({})", "{}"], UNREAD),  # of accountants: -12
        (["($1{},00)", "${}"], UNREAD),
        (["{}.50-", "{}"], UNREAD),  # of SAP
        (["${}", "{} EUR", "{}"], UNREAD),
        (["1{}-19"], "category: embedding"),
        (["{}+", "{}-", "{}"], "category: embedding"),  # grades
        (["{}.1k", "{}k"], "category: embedding of each text: numbers with a unit"),
        (["1{}067", "0{}067"], "category: embedding"),  # codes
        (["{} GB"], "category: embedding of each text: numbers with a unit"),
        (["{}", "{}.5", "Infinity"], "category: embedding of each text: 66 cells are no numbers"),
    ],
)
def test_amounts_are_no_categories_even_if_few_differ(drafted, write_csv, trees, forms, use):
    trees["odd"] = [forms[number % len(forms)].format(number % 5) for number in range(200)]
    found = drafted(write_csv(trees), "grown").uses["odd"]
    assert found.startswith(use)
    assert ":" in use.removeprefix("category: ") or found == use


def test_many_numbers_with_units_are_figures(drafted, write_csv, trees):
    trees["odd"] = [f"{1 + number * 7 % 997}{'kM'[number % 2]}" for number in range(200)]
    assert UNREAD == drafted(write_csv(trees), "grown").uses["odd"]


@pytest.mark.parametrize("form", ["0{}", "{}A", "B{}"])
def test_codes_are_no_figures(drafted, write_csv, trees, form):
    trees["code"] = [form.format(number) for number in range(200)]
    assert "left out: numbers or names the rows" == drafted(write_csv(trees), "grown").uses["code"]


def test_columns_that_say_little(drafted, write_csv, trees):
    trees["rarely"] = ["", *["x", "y"] * 2, *[""] * 195]
    trees["name"] = [f"n{number // 1.3:.0f}" for number in range(200)]
    found = drafted(write_csv(trees), "grown")
    assert "left out: missing in 98% of the rows" == found.uses["rarely"]
    assert "left out: another name in most of the rows" == found.uses["name"]


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("values", "task", "expected", "words"),
    [
        (["a", "b"], "", "classification", "2 different texts"),
        ([0, 1], "", "classification", "2 different whole numbers."),
        ([1, 2, 3], "", "classification", "--task regression for the other reading"),
        (list(range(12)), "", "regression", "--task classification for the other reading"),
        (list(range(12)), "classification", "classification", "asked for"),
        ([0.5, 1.5, 2.5], "", "regression", "numbers"),
        ([1.0, 2.0], "", "classification", "whole numbers"),
        ([1, 2, 3], "regression", "regression", "asked for"),
    ],
)
def test_the_task_and_how_to_change_it(drafted, write_csv, trees, values, task, expected, words):
    trees["grown"] = [values[(number * 7) % len(values)] for number in range(200)]
    found = drafted(write_csv(trees), "grown", task)
    assert f"grown is the target: {expected}" in found.plan.notes[0]
    assert words in found.plan.notes[0]
    assert ("classes=(" in found.text) is (expected == "classification")


def test_classes_that_are_numbers_are_in_their_order(drafted, write_csv, trees):
    trees["grown"] = [[10, 9, 2][number % 3] for number in range(200)]
    assert 'classes=("2", "9", "10"),' in drafted(write_csv(trees), "grown").text


def test_a_column_that_is_called_like_a_target_is_taken(drafted, write_csv, trees):
    trees["Target"] = trees.pop("grown")
    assert "Target is the target" in drafted(write_csv(trees)).plan.notes[0]


def test_a_free_text_is_not_what_is_to_be_predicted(drafted, write_csv, trees):
    found = drafted(write_csv({"note": trees["note"], "grown": trees["grown"]}))
    assert "grown is the target" in found.plan.notes[0]


def test_the_longest_texts_are_read_to_their_end(drafted, write_csv, trees):
    trees["story"] = [
        f"{note} and so on {note} {number}" if number % 6 == 0 else "" for number, note in enumerate(trees["note"])
    ]
    assert "length: int = 16  # words" in drafted(write_csv({**trees, "more": trees["note"][::-1]}), "grown").text


def test_rows_without_a_target_are_allowed_for(drafted, write_csv, trees):
    trees["grown"][:20] = [""] * 20
    text = drafted(write_csv(trees), "grown").text
    assert "    bad_share=0.13,  # 10.0% cannot be used, as this is written\n" in text


def test_a_rare_class_is_weighted_and_evaluated_by_the_area_under_the_curve(drafted, write_csv, trees):
    trees["grown"] = ["yes" if number % 25 == 0 else "no" for number in range(200)]
    text = drafted(write_csv(trees), "grown").text
    assert 'Metric("auc", "AUC", positive="yes")' in text
    assert "class_weight: Annotated[float, Range(0.0, 1.0)] = 0.5" in text
    assert 'at_least={"auc":' in text


def test_rare_ones_among_many_classes_are_evaluated_by_the_mean_recall(drafted, write_csv, trees):
    trees["grown"] = [["a", "b", "c" if number % 20 == 2 else "a"][number % 3] for number in range(200)]
    text = drafted(write_csv(trees), "grown").text
    assert 'Metric("balanced_accuracy")' in text
    assert "    score=score,\n" in text


def test_json_lines_and_parquet(drafted, tmp_path, trees):
    import pyarrow as pa
    from pyarrow import parquet

    trees = {**trees, "age": [value or None for value in trees["age"]], "levels": [[1.0, float(n)] for n in range(200)]}
    lines, file = tmp_path / "trees.jsonl", tmp_path / "trees.parquet"
    rows = [dict(zip(trees, cells, strict=True)) for cells in zip(*trees.values(), strict=True)]
    lines.write_text("\n".join(map(json.dumps, rows)))
    parquet.write_table(pa.table(trees), file)
    for path, format_ in ((lines, "JsonLines"), (file, "Parquet")):
        found = drafted(path, "grown")
        assert f"import {format_}\n" in found.text
        assert 'VECTORS = {"levels": "float[2]"}' in found.text
        assert "count: scaled, and embedding of the exact value" == found.uses["age"]


@pytest.mark.parametrize(
    ("target", "task", "words"),
    [
        ("grwon", "", "did you mean grown?"),
        ("", "", "It is not clear which column is to be predicted."),
        ("country", "", "only DE"),
        ("note", "", "numbers, or at most 100 different classes"),
        ("kind", "regression", "numbers for --task regression"),
        ("price", "classification", "at most 100 different values for --task classification"),
        ("price", "forecasting", "has the same time in"),
        ("kind", "forecasting", "holds no numbers that change"),
    ],
)
def test_wrong_use_is_reported(drafted, write_csv, trees, target, task, words):
    with pytest.raises(UsageError) as caught:
        drafted(write_csv(trees), target, task)
    assert words in str(caught.value)
    assert "Expected: " in str(caught.value)
    assert "Next: " in str(caught.value)


def test_too_few_rows(drafted, write_csv):
    with pytest.raises(PipelineError, match=r"too few rows.*\nExpected: at least 50.*\nReceived: 3"):
        drafted(write_csv({"a": [1, 2, 3], "b": ["x", "y", "x"]}), "b")


def test_no_column_is_left(drafted, write_csv):
    with pytest.raises(PipelineError, match="No column is left to predict b from"):
        drafted(write_csv({"a": list(range(60)), "b": ["x", "y"] * 30}), "b")


def test_a_header_alone_and_one_column(drafted, write_csv):
    for columns in ({"a": [], "b": []}, {"a": [1] * 60}):
        with pytest.raises(PipelineError, match="is no table to learn from"):
            drafted(write_csv(columns), "a")


def test_mostly_faults(drafted, write_csv, trees):
    trees["grown"][:150] = [""] * 150
    with pytest.raises(PipelineError, match=r"Most rows of .* cannot be used"):
        drafted(write_csv(trees), "grown")


def test_true_and_false_in_any_words(drafted, write_csv, trees):
    trees["healthy"] = [("TRUE", "no", "T", "false")[number % 4] for number in range(200)]
    found = drafted(write_csv(trees), "grown")
    assert "boolean: true 1, false 0" == found.uses["healthy"]
    assert 'BOOLEANS = ("healthy",)' in found.text
    assert "truth(tf.stack([inputs[name] for name in BOOLEANS], axis=1))" in found.text


def test_odd_cells_of_a_number_are_missing_values(drafted, write_csv, trees):
    trees["price"][3:6] = ["n/a", "12x", "12x"]
    found = drafted(write_csv(trees), "grown")
    assert found.uses["price"].endswith("; not read, so missing: '12x' 2 times, 'n/a'")
    assert 'missing=("", "?", "NA", "N/A", "#N/A", "NaN", "nan", "null", "NULL", "\\\\N", "12x"),' in found.text


def test_mostly_numbers_with_many_odd_cells(drafted, write_csv, trees):
    trees["price"][:40] = [f"x{number}" for number in range(40)]
    found = drafted(write_csv(trees), "grown")
    assert "left out: 40 cells are no numbers; mend them, or name them in missing=" == found.uses["price"]


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "__index_level_0__"])
def test_a_column_without_a_name_that_numbers_the_rows(drafted, write_csv, trees, name):
    numbers = [number * 7 % 200 for number in range(200)]  # as of rows that were shuffled
    columns = {name: numbers, **{key: trees[key] for key in ("age", "price", "grown")}}
    assert "left out: numbers or names the rows" == drafted(write_csv(columns), "grown").uses[name or "(no name)"]


def test_spellings_of_a_class_are_one(drafted, write_csv, trees):
    trees["grown"] = [("yes", "YES", "no")[number % 3] for number in range(200)]
    found = drafted(write_csv(trees), "grown")
    assert 'classes=("no", "yes"),' in found.text
    assert "Spellings of one class: 'YES' as 'yes'; to keep them apart, name both in classes=." in found.plan.notes


@pytest.mark.parametrize("mark", ["n/a", "NaN", "#N/A", "-", "\u2014", "na"])
def test_a_label_that_is_not_there_is_no_class(drafted, write_csv, trees, mark):
    columns = {**trees, "kind": ["oak", mark, *["oak", "elm"] * 99]}
    made = drafted(write_csv(columns), "kind")
    assert ("elm", "oak") == made.plan.facts["classes"]
    assert any("1 of " in note and "cannot be used" in note for note in made.plan.notes)


@pytest.mark.parametrize("kinds", [["+", "-"], ["none", "mild"], ["unknown", "known", "missing"]])
def test_signs_and_words_are_classes(drafted, write_csv, trees, kinds):
    made = drafted(write_csv({**trees, "kind": (kinds * 200)[:200]}), "kind")
    assert sorted(kinds) == sorted(made.plan.facts["classes"])


def test_numbers_with_a_decimal_comma_are_one_class(drafted, tmp_path):
    rows = [
        f"0,{number:03};-1,{number % 7};{'0' if number % 2 else ('1', '1,0')[number % 4 // 2]}" for number in range(200)
    ]
    (tmp_path / "data.csv").write_text("\n".join(["a;b;target", *rows]))
    assert ("0", "1") == drafted(tmp_path / "data.csv").plan.facts["classes"]


def test_hexadecimal_numbers_are_left_out_and_json_is_named(drafted, write_csv, trees):
    made = drafted(write_csv({**trees, "mask": [hex(number % 90) for number in range(200)]}), "grown")
    assert "figures that are not read" in made.uses["mask"]
    path = write_csv({"a": [1]}, "rows.csv")
    path.write_text('[{"a": 1, "target": "no"}]')
    with pytest.raises(PipelineError, match=r"rows\.csv holds JSON"):
        drafted(path)


def test_a_second_line_of_names_is_no_class(drafted, tmp_path):
    rows = [f"{number},{number * 7 % 11},{'yes' if number % 3 else 'no'}" for number in range(90)]
    path = tmp_path / "data.csv"
    path.write_text("\n".join(["sensor,sensor,result", "a,b,target", *rows]))
    with pytest.raises(PipelineError, match=r"Line 2 of .* has words[^$]*--header 2 takes the names"):
        drafted(path, "result")
    assert ("no", "yes") == inspect.make_plan(path, "target", "", Dialect(header=2)).facts["classes"]


def test_na_among_codes_is_a_class(drafted, write_csv, trees):
    trees["place"] = [("NA", "EU", "AS")[number % 3] for number in range(200)]
    found = drafted(write_csv(trees), "place")
    assert 'classes=("AS", "EU", "NA"),' in found.text
    assert "NA is read as a code, like the other values of place, and not as a missing value." in found.plan.notes


def test_values_that_are_far_from_all_others_are_clipped(drafted, write_csv, trees):
    trees["height (m)"][7] = 1e30
    found = drafted(write_csv(trees), "grown")
    assert "number: scaled" == found.uses["height (m)"]
    assert 'LIMITS = {"height_m": (' in found.text
    assert any("height (m): 1 value is far from all others, such as 1e+30" in note for note in found.plan.notes)


def test_rows_that_cannot_be_used_are_counted_by_kind(drafted, write_csv, trees):
    trees["grown"][3:5] = ["", ""]
    notes = drafted(write_csv(trees), "grown").plan.notes
    assert "2 of 200 rows cannot be used: the label grown is empty." in notes
    assert any("data.csv line 5: the label grown is empty. A run lists all." in note for note in notes)


def test_too_few_different_rows(drafted, write_csv):
    with pytest.raises(PipelineError, match="Received: 4 different rows of a, b"):
        drafted(write_csv({"a": [0, 1, 1, 0] * 50, "b": [1, 1, 0, 0] * 50, "y": ["no", "yes"] * 100}), "y")


def test_few_different_rows_are_said(drafted, write_csv):
    columns = {"a": list(range(7)) * 30, "y": ["no", "yes", "yes"] * 70}
    assert any("Only 7 different rows" in note for note in drafted(write_csv(columns), "y").plan.notes)


def test_how_the_file_is_written_is_in_the_recipe(drafted, tmp_path):
    rows = "".join(f"{number % 7},5;{number % 11},25;{'ja' if number % 7 > 3 else 'nein'}\n" for number in range(200))
    path = tmp_path / "de.csv"
    path.write_text("Export\n\nBreite;Höhe;gut\n" + rows)
    found = drafted(path, "gut")
    assert 'decimal=",",' in found.text
    assert "Line 3 is the header; the title above it is passed over." == found.plan.notes[0]
    assert ["float", "float", "bytes"] == [row[1] for row in found.plan.rows]
    path.write_text(rows)
    assert "header=0,\n" in drafted(path, "column_3").text


def test_numbers_that_can_be_read_in_two_ways(drafted, tmp_path):
    rows = "".join(f"{1 + number % 9},{100 + number};{number % 2}\n" for number in range(200))
    (tmp_path / "t.csv").write_text("a;y\n" + rows)
    with pytest.raises(UsageError, match="Next: say which: --thousands , or --decimal ,"):
        drafted(tmp_path / "t.csv", "y")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.json", b'{\n"a": 1,\n"b": {"c": 2}}', "Received: line 1: not JSON"),
        ("t.csv", b"PK\x03\x04\x14", "Next: save the sheet as CSV UTF-8"),
    ],
)
def test_files_that_are_no_tables(drafted, tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PipelineError, match=words):
        drafted(tmp_path / name)


def test_a_target_that_is_far_off_is_said(drafted, write_csv, trees):
    trees["price"][7] = 1e30
    assert any(
        "price: 1 value is far from all others" in note for note in drafted(write_csv(trees), "price").plan.notes
    )


def test_a_file_in_another_encoding_is_named(drafted, tmp_path):
    (tmp_path / "t.csv").write_bytes(("a,y\n" + "Köln,1\nBonn,0\n" * 100).encode("latin-1"))
    with pytest.raises(PipelineError, match="line 2 is not UTF-8"):
        drafted(tmp_path / "t.csv", "y")


def test_other_formats_say_themselves_how_they_are_written(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(UsageError, match="Expected: --encoding for a CSV file only"):
        inspect.make_plan(tmp_path / "t.jsonl", "", "", Dialect(encoding="latin-1"))


@pytest.mark.heavy
def test_many_columns_share_one_analysis(drafted, write_csv, trees):
    drawn = random.Random(1)
    trees |= {f"kind_{place}": drawn.choices("abc", k=200) for place in range(30)}
    text = drafted(write_csv(trees), "grown").text
    assert "positions(tf.concat(texts, axis=1), p.rare)" in text
    assert 3 == text.count("tft.")  # for all names, for all numbers, for the words of the note


def test_rows_with_times_say_that_their_split_is_by_hash(drafted, write_csv, trees):
    (note,) = [note for note in drafted(write_csv(trees), "grown").plan.notes if "by hash" in note]
    days, sizes = sorted(trees["planted"]), choices.choose_sizes(200)
    first, second = (days[int((1 - share) * 200)] for share in (sizes.eval + sizes.test, sizes.test))
    expected = f'time=\'planted\' in DATA and split=Time(eval_from="{first}", test_from="{second}").'
    assert note == f"The rows are split by hash, not by planted; to test on the newest rows, write {expected}"


def test_dates_that_stand_for_none_are_missing_in_the_recipe(drafted, write_csv, trees):
    trees["felled"] = [f"20{10 + number % 12}-0{1 + number % 9}-17" for number in range(200)]
    trees["felled"][::3] = ["9999-12-31"] * len(trees["felled"][::3])
    found = drafted(write_csv(trees), "grown")
    assert 'SPANS = {"felled": ("0001-01-01", "2071-' in found.text
    assert "dates.parts(inputs[name], name, SPANS.get(name))" in found.text
    assert any(note.startswith("felled: 9999-12-31 in 67 rows is far from all others") for note in found.plan.notes)
    assert 'test_from="9999' not in " ".join(found.plan.notes)


def test_where_most_rows_cannot_be_used_the_kinds_are_named(drafted, tmp_path):
    (tmp_path / "rows.csv").write_text("a,b,y\n" + "1,2,3,4,5\n" + "1,2,\n" * 60 + "1,2,3\n2,3,4\n" * 10)
    with pytest.raises(PipelineError, match="61 of 81: 60 times the label y is empty; 1 times … cells, expected"):
        drafted(tmp_path / "rows.csv", "y")
