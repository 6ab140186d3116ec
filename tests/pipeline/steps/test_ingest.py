"""Ingest: splits by content, samples without order, rows that cannot be used."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.formats import tfrecord
from pipeline.formats.base import Example
from pipeline.recipe import Group, Hash, Official, Quick, Time
from pipeline.steps import ingest
from pipeline.steps.ingest import Report

ROWS = st.fixed_dictionaries(
    {"x": st.floats(allow_nan=False), "n": st.integers(-(2**63), 2**63 - 1), "s_bytes": st.binary()}
)


class Table:
    """A data set of rows in memory."""

    inputs = {"x": "int"}  # noqa: RUF012
    label = "label"

    def __init__(self, examples, classes=("a", "b")):
        self.rows, self.classes = list(examples), classes

    def files(self, data):
        return [data / "table"]

    def examples(self, data):
        return iter(self.rows)


def numbered(count, first=0, split="", label=b"a"):
    return [Example(f"row {n}", {"x": n, "label": label}, split) for n in range(first, first + count)]


def recipe(data, split=None, **changes):
    plain = {"teacher": (), "preprocess_targets": None, "outputs": None, "metrics": ()}
    return SimpleNamespace(data=data, split=split or Hash(), bad_share=0.0, quick=Quick(), **plain | changes)


def sides(examples, split=None):
    return {row["x"]: side for side, _, row, _ in ingest.assign_splits(examples, recipe(Table([]), split), Report())}


@given(ROWS, st.binary(), st.binary(), st.randoms())
def test_fraction_depends_on_the_content_without_label_and_order(row, one, other, random):
    names = list(row)
    random.shuffle(names)
    shuffled = {name: row[name] for name in names}
    found = ingest.fraction({**row, "label": one}, {"label"})
    assert found == ingest.fraction({"label": other, **shuffled}, {"label"})
    assert 0 <= found < 1


def test_fraction_sees_every_feature_and_its_name():
    rows = [{"x": 1}, {"x": 2}, {"y": 1}, {"x": 1, "y": 1}, {"x": 11}, {"x": b"x"}, {"x": 1.5}]
    assert len(rows) == len({ingest.fraction(row, {"label"}) for row in rows})


@settings(max_examples=20)
@given(st.lists(st.integers(), unique=True), st.lists(st.integers(), unique=True), st.randoms())
def test_more_rows_and_another_order_move_no_row(old, new, random):
    before = sides([Example("", {"x": x}) for x in old])
    rows = [Example("", {"x": x}) for x in {*old, *new}]
    random.shuffle(rows)
    after = sides(rows)
    assert before == {x: after[x] for x in old}


@pytest.mark.parametrize(("evaluation", "test"), [(0.1, 0.1), (0.2, 0.3)])
def test_parts_of_ten_thousand_rows(evaluation, test):
    counts = Counter(sides(numbered(10_000), Hash(evaluation, test)).values())
    assert pytest.approx(10_000 * evaluation, abs=150) == counts["eval"]
    assert pytest.approx(10_000 * test, abs=150) == counts["test"]


def test_official_tests_stay_tests_and_eval_comes_off_train():
    train = sides(numbered(2000, split="train"), Official(0.25))
    assert {"train", "eval"} == set(train.values())
    assert pytest.approx(500, abs=80) == Counter(train.values())["eval"]
    assert {"test"} == set(sides(numbered(100, split="test"), Official(0.25)).values())


def test_official_split_leaves_the_rows_of_a_group_together():
    rows = [Example("", {"x": 100 * who + n, "who": who}, "train") for who in range(40) for n in range(5)]
    found = sides(rows, Official(0.25, group="who"))
    assert all(1 == len({found[100 * who + n] for n in range(5)}) for who in range(40))
    assert {"train", "eval"} == set(found.values())
    with pytest.raises(PipelineError, match="cannot be split by who"):
        sides(numbered(1, split="train"), Official(group="who"))
    assert set(sides(numbered(100, split="test"), Hash()).values()) == {"train", "eval", "test"}


@settings(max_examples=20)
@given(st.lists(st.binary(), min_size=1, unique=True))
def test_group_is_never_torn_apart(speakers):
    rows = [Example("", {"x": n, "who": who}) for n, who in enumerate(speakers * 7)]
    found = sides(rows, Group("who", 0.3, 0.3))
    for first, who in enumerate(speakers):
        assert 1 == len({found[n] for n in range(first, len(rows), len(speakers))}), who


def test_groups_are_spread_by_their_parts():
    counts = Counter(sides([Example("", {"x": n, "who": n}) for n in range(5000)], Group("who", 0.2, 0.3)).values())
    assert pytest.approx(1000, abs=100) == counts["eval"]
    assert pytest.approx(1500, abs=100) == counts["test"]


def test_row_without_its_group():
    with pytest.raises(PipelineError, match="row 0 cannot be split by who") as caught:
        sides(numbered(1), Group("who"))
    assert "Received: the features x, label" in str(caught.value)


BORDERS = Time(eval_from="2020-02", test_from="2020-03")
DAYS = st.integers(0, 100).map(lambda day: f"2020-{1 + day // 28:02}-{1 + day % 28:02}")


@given(DAYS, DAYS)
def test_window_lies_in_one_split_or_is_left_out(one, other):
    begins, ends = sorted((one, other))
    report = Report()
    rows = [Example("", {"x": 1}, begins=begins, ends=ends)]
    found = [side for side, *_ in ingest.assign_splits(rows, recipe(Table([]), BORDERS), report)]
    parts = ["train" if day < "2020-02" else "eval" if day < "2020-03" else "test" for day in (begins, ends)]
    assert (parts[:1] if parts[0] == parts[1] else []) == found
    assert 1 == len(found) + report.straddling


def test_rows_without_a_time_cannot_be_split_by_it():
    with pytest.raises(PipelineError, match="row 0 cannot be split by time"):
        sides(numbered(1), BORDERS)


def test_vector_is_content_too():
    rows = [{"v": (1.0, 2.0)}, {"v": (2.0, 1.0)}, {"v": (1.0, 2.0, 0.0)}, {"v": (1.0, float("nan"))}]
    assert len(rows) == len({ingest.fraction(row, {"label"}) for row in rows})
    assert ingest.fraction(rows[0], {"label"}) == ingest.fraction({"v": np.array([1.0, 2.0])}, {"label"})


LIMITS = {"train": 30, "eval": 5, "test": 0}


@settings(max_examples=20)
@given(st.randoms())
def test_sample_is_exact_and_does_not_depend_on_the_order(random):
    rows = list(ingest.assign_splits(numbered(200), recipe(Table([])), Report()))
    expected = {
        side: sorted((row for row in rows if row[0] == side), key=lambda row: row[1])[:limit]
        for side, limit in LIMITS.items()
    }
    random.shuffle(rows)
    found = list(ingest.sample_rows(rows, LIMITS))
    for side, limit in LIMITS.items():
        mine = [row for row in found if row[0] == side]
        assert min(limit, sum(row[0] == side for row in rows)) == len(mine)
        assert _numbers(expected[side]) == _numbers(mine)
        assert [row[2]["x"] for row in mine] == [row[2]["x"] for row in rows if row in mine]


def _numbers(rows):
    return sorted(row[2]["x"] for row in rows)


def test_label_outside_the_declared_classes_and_faults_are_noted():
    examples = [*numbered(2), *numbered(1, 5, label=b"c"), Example("row 9", {}, fault="broken"), Example("row 10", {})]
    report = Report()
    assert [0, 1] == [one.features["x"] for one in ingest.check_rows(examples, Table([]), report)]
    assert [
        "row 5: label 'c' is not among the declared classes a, b",
        "row 9: broken",
        "row 10: label '' is not among the declared classes a, b",
    ] == report.bad
    assert {"a": 2} == report.classes
    assert 2 == report.sound


def test_numbers_as_labels_are_not_counted_as_classes():
    report = Report()
    list(ingest.check_rows(numbered(3, label=1.5), Table([], classes=()), report))
    assert Counter() == report.classes
    assert 3 == report.sound


def bad(count):
    return [Example(f"row {n}", {}, fault="broken") for n in range(count)]


def run(tmp_path, rows, *, quick=False, **changes):
    made = recipe(Table(rows))
    vars(made).update(changes)
    return ingest.ingest(made, tmp_path, tmp_path / "out", quick=quick)


def test_bad_rows_beyond_the_share(tmp_path):
    with pytest.raises(PipelineError, match=r"7 of 107 rows of .*table cannot be used") as caught:
        run(tmp_path, [*numbered(100), *bad(7)])
    assert "Expected: at most 0.0% bad rows" in str(caught.value)
    assert "row 4: broken" in str(caught.value)
    assert "row 5: broken" not in str(caught.value)
    assert "… and 2 more" in str(caught.value)


def test_bad_rows_within_the_share_are_listed(tmp_path):
    report = run(tmp_path, [*numbered(93), *bad(7)], bad_share=0.07)
    assert 7 == len(report.bad)
    assert 93 == sum(report.rows.values())


def test_bad_share_of_a_quick_run_is_that_of_all_rows(tmp_path):
    small = recipe(Table([*numbered(990), *bad(10)]))
    small.bad_share, small.quick = 0.01, Quick(20, 5)  # 10 of 1000, and a third of the sample
    report = ingest.ingest(small, tmp_path, tmp_path / "small", quick=True)
    assert {"train": 20, "eval": 5, "test": 5} == report.rows


@pytest.mark.parametrize(("count", "words"), [(0, "for train and eval and test"), (1, "for")])
def test_empty_splits(tmp_path, count, words):
    with pytest.raises(PipelineError, match=f"gives no rows {words}") as caught:
        run(tmp_path, numbered(count))
    assert f"Received: {count} rows in all" in str(caught.value)


def test_numbers_that_float32_cannot_tell_apart_are_named_or_end_the_run(tmp_path):
    class Seconds(Table):
        inputs = {"x": "float"}  # noqa: RUF012

    rows = [Example("", {"x": 1.7e9 + n % 60, "label": n % 7 + n / 1e3}) for n in range(300)]
    report = ingest.ingest(recipe(Seconds(rows, ())), tmp_path, tmp_path / "out", quick=False)
    (words,) = report.coarse
    assert "x: half of the values are within 30, and float32 has steps of 128 there; subtract a constant" in words
    rows = [Example("", {"x": 1.0 * n, "label": 1.7e9 + n % 60}) for n in range(300)]
    with pytest.raises(PipelineError, match="The numbers of label are too near to each other"):
        ingest.ingest(recipe(Seconds(rows, ())), tmp_path, tmp_path / "out", quick=False)


def test_written_splits_are_read_back(tmp_path):
    report = run(tmp_path, numbered(200))
    found = {}
    for side in ingest.SPLITS:
        records = tf.data.TFRecordDataset(str(tmp_path / "out" / f"Split-{side}" / "examples.tfrecord"))
        spec = {"x": tf.io.FixedLenFeature([], tf.int64), "label": tf.io.FixedLenFeature([], tf.string)}
        rows = [tf.io.parse_single_example(record, spec) for record in records]
        assert report.rows[side] == len(rows)
        assert {b"a"} == {row["label"].numpy() for row in rows}
        found |= {int(row["x"]): side for row in rows}
    assert sides(numbered(200)) == found


@settings(max_examples=30)
@given(st.binary(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, width=32))
def test_encoded_row_is_parsed_back(content, number, fraction):
    spec = {
        "b": tf.io.FixedLenFeature([], tf.string),
        "i": tf.io.FixedLenFeature([], tf.int64),
        "f": tf.io.FixedLenFeature([], tf.float32),
    }
    parsed = tf.io.parse_example([tfrecord.encode_example({"b": content, "i": number, "f": fraction})], spec)
    assert (content, number, fraction) == tuple(parsed[name].numpy()[0] for name in "bif")


@given(st.lists(st.floats(width=32), min_size=3, max_size=3))
def test_encoded_vector_is_parsed_back(values):
    parsed = tf.io.parse_example(
        [tfrecord.encode_example({"v": values})], {"v": tf.io.FixedLenFeature([3], tf.float32)}
    )
    np.testing.assert_array_equal(np.array(values, np.float32), parsed["v"].numpy()[0])


def test_encoding_does_not_depend_on_the_order_of_features():
    assert tfrecord.encode_example({"a": 1, "b": 2.5, "c": b"x"}) == tfrecord.encode_example(
        {"c": b"x", "b": 2.5, "a": 1}
    )


class Pictures(Table):
    """A data set whose rows are answered with a ragged target."""

    label = ""
    targets = {"boxes": "float[2,4]", "kinds": "int[2]"}  # noqa: RUF012


def boxed(number, count):
    boxes = [[0.0, 0.0, 0.5, 0.5 + place / 10] for place in range(count)]
    return Example(f"row {number}", {"x": number, "boxes": boxes, "kinds": list(range(count))})


def test_targets_are_padded_and_what_does_not_fit_is_counted():
    report = Report()
    rows = list(ingest.check_rows([boxed(0, 0), boxed(1, 2), boxed(2, 5)], Pictures([], ()), report))
    assert [[-1, -1], [0, 1], [0, 1]] == [row.features["kinds"].tolist() for row in rows]
    assert {"boxes": 3, "kinds": 3} == report.left_out
    assert 3 == report.sound
    parsed = tf.io.parse_example(
        [tfrecord.encode_example(row.features) for row in rows],
        {"boxes": tf.io.FixedLenFeature([2, 4], tf.float32), "kinds": tf.io.FixedLenFeature([2], tf.int64)},
    )
    assert [0.0, 0.0, 0.5, 0.6] == pytest.approx(parsed["boxes"][1, 1].numpy().tolist())
    assert [[-1, -1], [0, 1], [0, 1]] == parsed["kinds"].numpy().tolist()


def test_a_target_that_cannot_be_used_is_a_bad_row():
    report = Report()
    missing = Example("row 3", {"x": 3, "boxes": []})
    assert [] == list(ingest.check_rows([missing], Pictures([], ()), report))
    assert ["row 3: the target kinds is missing"] == report.bad


def test_equal_inputs_with_other_targets_are_in_one_split():
    found = [row.part for row in ingest.assign_splits([boxed(7, 0), boxed(7, 2)], recipe(Pictures([], ())), Report())]
    assert found[0] == found[1]


def test_unusable_rows_are_counted_by_why_and_what_comes_twice():
    report, data = Report(), Table([*numbered(2), *numbered(3, label=b"x"), *numbered(1, label=b"y")])
    data.rows[0] = replace(data.rows[0], repeated=3)
    data.rows.append(Example("row 9", {}, fault="column x is not of kind int: 'a'"))
    assert 2 == len(list(ingest.check_rows(data.rows, data, report)))
    kinds = {"label … is not among the declared classes a, b": 4, "column x is not of kind int": 1}
    assert (kinds, 5, 3) == (report.kinds, len(report.bad), report.repeated)
