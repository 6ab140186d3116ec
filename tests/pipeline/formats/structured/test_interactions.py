"""A table of interactions: which rows can be used, in which order they are, and that ids stay as they are."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.features.ids import normalize_id
from pipeline.formats import table
from pipeline.formats.structured.interaction_cells import MOST_BYTES, read_rating, read_seconds, read_title
from pipeline.formats.structured.interactions import AGAIN, Interactions
from pipeline.recipe import GroupTime
from pipeline.steps.splits import choose_split, find_borders

ROWS = [("007", "b", 4, 300), ("007", "a", 1, 100), ("7", "a", 5, 50), ("007", "c d", 5, 200), ("7", "ü", "", 50)]
# Python's reader of CSV strips cells, and lines end as it reads them; a vocabulary has one id a line.
IDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)


def write_csv(path, rows=ROWS, head=("who", "what", "stars", "at")):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def usable(data, folder):
    rows = list(data.examples(folder))
    return [row.features for row in rows if not row.fault], [row.fault for row in rows if row.fault]


def test_rows_come_by_time_with_what_their_user_took_before(tmp_path):
    write_csv(tmp_path / "log.csv")
    data = Interactions("log.csv", "who", "what", rating="stars", time="at", length=2)
    rows, faults = usable(data, tmp_path)
    assert [] == faults
    assert [b"a", b"c d", b"b"] == [row["item_id"] for row in rows if row["user_id"] == b"007"]
    ids = data.tables(tmp_path)["item_id"].tolist()
    assert [b"a", b"b", b"c d", "ü".encode()] == ids
    last = rows[-1]
    assert (b"007", 2, 1) == tuple(last[name] for name in ("user_id", "earlier", "liked"))
    assert [b"c d", b"a"] == [ids[place] for place in last["history"]]
    assert [ids.index(row["item_id"]) for row in rows] == [row["item"] for row in rows]
    assert ["item_id", "item", "history", "earlier", "liked"] == list(data.targets)
    assert "int[2]" == data.targets["history"]


def test_what_is_rated_below_the_own_mean_is_not_liked(tmp_path):
    write_csv(tmp_path / "log.csv")
    rows, _ = usable(Interactions("log.csv", "who", "what", rating="stars"), tmp_path)
    liked = {(row["user_id"], row["item_id"]): row["liked"] for row in rows}
    assert {b"a": 0, b"b": 1, b"c d": 1} == {item: value for (user, item), value in liked.items() if user == b"007"}
    assert {b"a": 1, "ü".encode(): 1} == {item: value for (user, item), value in liked.items() if user == b"7"}


def test_equal_ratings_are_all_liked(tmp_path):
    write_csv(tmp_path / "log.csv", [("a", number, 0.1, 1) for number in range(7)])
    rows, _ = usable(Interactions("log.csv", "who", "what", rating="stars"), tmp_path)
    assert {1} == {row["liked"] for row in rows}


@pytest.mark.parametrize("time", ["at", ""])
def test_rows_of_one_moment_are_in_an_order_that_splits_every_user(tmp_path, time):
    write_csv(tmp_path / "log.csv", [(user, item, 1, "2024-01-31") for user in range(5) for item in range(20)])
    data = Interactions("log.csv", "who", "what", time=time)
    examples = list(data.examples(tmp_path))
    split = GroupTime("user_id", eval=0.05, test=0.1)
    borders = find_borders(examples, split)
    recipe = type("Split", (), {"split": split})
    placed = [(*map(example.features.get, ("user_id", "item_id")), choose_split(example, 0, recipe, borders))
              for example in examples]  # fmt: skip
    counts = Counter((user, part) for user, _, part in placed)
    assert {b"%d" % user for user in range(5)} == {user for user, _ in counts}
    assert {"train": 17, "eval": 1, "test": 2} == {part: count for (_, part), count in counts.items()}
    tests = {user: frozenset(item for other, item, part in placed if other == user and part == "test")
             for user, _ in counts}  # fmt: skip
    assert len(set(tests.values())) > 1  # no item is the test of all
    shuffled = write_csv(tmp_path / "other.csv", [(u, i, 1, "2024-01-31") for i in range(19, -1, -1) for u in range(5)])
    others = [example.begins for example in Interactions(shuffled.name, "who", "what", time=time).examples(tmp_path)]
    assert sorted(others) == sorted(example.begins for example in examples)


def test_rows_that_cannot_be_used_say_why(tmp_path):
    rows = [("", "a", 1, 1), ("u", "", 1, 1), ("u", "x" * 201, 1, 1), ("u", "b", "good", 1), ("u", "c", 1, "soon"),
            ("u", "d", 1, 2), ("u", "d", 5, 1), ("u", "e\tf", 1, 1)]  # fmt: skip
    write_csv(tmp_path / "log.csv", rows)
    data = Interactions("log.csv", "who", "what", rating="stars", time="at")
    sound, faults = usable(data, tmp_path)
    assert [b"d"] == [row["item_id"] for row in sound]
    assert faults == [
        "column who is empty",
        "column what is empty",
        f"column what has 201 bytes, expected at most {MOST_BYTES}",
        "column stars is no number: 'good'",
        "column at is no time: 'soon'",
        "column what has a line break or another control character: 'e\\tf'",
        AGAIN,
    ]
    places = [row.source for row in data.examples(tmp_path) if row.fault]
    assert places[0].endswith("log.csv line 2")
    assert places[-1].endswith("log.csv user u, item d")


def test_all_formats_give_the_same(tmp_path):
    import pandas as pd

    rows = [(f"{user:03}", f"film {item}", item / 2, 10**9 + item) for user in range(4) for item in range(6)]
    frame = pd.DataFrame(rows, columns=["who", "what", "stars", "at"])
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    frame.to_csv(tmp_path / "a.csv.gz", index=False)
    frame.to_csv(tmp_path / "b.csv", index=False, sep=";", decimal=",")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.assign(at=pd.to_datetime(frame["at"], unit="s")).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    answers = [
        [row.features for row in Interactions(file.name, "who", "what", "stars", "at").examples(tmp_path)]
        for file in sorted(tmp_path.iterdir())
    ]
    assert 7 == len(answers)
    assert 24 == len(answers[0])
    assert all(answer == answers[0] for answer in answers)
    assert b"003" in {row["user_id"] for row in answers[0]}


def test_numbers_as_ids_are_written_as_whole_numbers(tmp_path):
    import pandas as pd

    pd.DataFrame({"who": [1.0, 2.0, None], "what": [5, 6, 7]}).to_parquet(tmp_path / "log.parquet")
    rows, faults = usable(Interactions("log.parquet", "who", "what"), tmp_path)
    assert {(b"1", b"5"), (b"2", b"6")} == {(row["user_id"], row["item_id"]) for row in rows}
    assert ["column who is empty"] == faults


def test_titles_are_the_first_that_there_are(tmp_path):
    rows = [("u", "1", ""), ("v", "1", "Größe"), ("w", "1", "other"), ("u", "2", None)]
    write_csv(tmp_path / "log.csv", rows, ("who", "what", "title"))
    tables = Interactions("log.csv", "who", "what", title="title").tables(tmp_path)
    assert ["Größe".encode(), b""] == tables["title"].tolist()
    assert [4] == tables["pairs"].tolist()
    assert read_title("ü" * 200).decode() == "ü" * 80
    assert b"a b" == read_title(" a\n\0b ")
    assert b"" == read_title(["a"]) == read_title("\udc80") == read_title(None)


def missing(pair):
    return any(table.is_missing(text) for text in pair)


@given(st.lists(st.tuples(IDS, IDS), min_size=1, max_size=20, unique=True))
def test_ids_come_back_as_they_were(tmp_path_factory, pairs):
    folder = tmp_path_factory.mktemp("ids")
    lines = [json.dumps({"who": user, "what": item}) for user, item in pairs]
    (folder / "log.jsonl").write_text("\n".join(lines) + "\n")
    data = Interactions("log.jsonl", "who", "what")
    rows, _ = usable(data, folder)
    normal = {tuple(normalize_id(text.encode()).decode() for text in pair) for pair in pairs if not missing(pair)}
    expected = {pair for pair in normal if all(pair)}
    assert expected == {(row["user_id"].decode(), row["item_id"].decode()) for row in rows}
    if rows:
        ids = data.tables(folder)["item_id"]
        assert all(ids[row["item"]] == row["item_id"] for row in rows)
        assert (np.diff([row["earlier"] for row in rows if row["user_id"] == rows[0]["user_id"]]) == 1).all()


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        (964982703, 964982703),
        ("964982703.9", 964982703),
        (964982703000, 964982703),
        ("964982703000000", 964982703),
        ("1970-01-02", 86400),
        ("1970-01-02T00:00:00+01:00", 82800),
        (19700102, 86400),
        ("2.1.1970", 86400),
        (-5, -5),
    ],
)
def test_times_are_seconds_or_dates(raw, seconds):
    assert seconds == read_seconds("at", raw)


@pytest.mark.parametrize("raw", ["", None, "nan", "inf", "soon", True, [1], "0001-01-01", -1e300])
def test_what_is_no_time_is_refused(raw):
    with pytest.raises(ValueError, match="is no time"):
        read_seconds("at", raw)


def test_dates_with_slashes_need_an_order():
    assert 31 * 86400 == read_seconds("at", "2/1/1970", "month first")
    assert 86400 == read_seconds("at", "2/1/1970", "day first")


def test_a_rating_that_is_not_there_is_none():
    assert all(math.isnan(read_rating("stars", raw)) for raw in ("", None, "NA", "n/a"))
    assert 4.5 == read_rating("stars", "4.5")


@pytest.mark.parametrize(("text", "words"), [("", "lacks the columns"), ("who,what\n", "has no row with a user")])
def test_an_empty_file_is_told(tmp_path, text, words):
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(PipelineError, match=words):
        Interactions("log.csv", "who", "what").tables(tmp_path)
    if text:
        assert [] == list(Interactions("log.csv", "who", "what").examples(tmp_path))
