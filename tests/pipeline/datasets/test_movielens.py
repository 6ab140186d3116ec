"""MovieLens: rows from relations, what came before a rating, films, and lines that are none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.movielens import NEXT_FILMS, RATINGS_OF_FILMS, TITLE_BYTES, Visits, describe_films
from pipeline.errors import PipelineError
from pipeline.features import targets

RATINGS = ["7,30,4.0,1000", "7,10,2.5,3000", "8,10,5.0,2000", "7,20,3.0,2000"]
FILMS = ['20,"Third, The (1999)",Drama|War', "10,First (1995) ,Comedy", "30,No year,(no genres listed)"]


@pytest.fixture
def relations(tmp_path):
    def write(ratings=RATINGS, films=FILMS, header="userId,movieId,rating,timestamp"):
        folder = tmp_path / "movielens"
        folder.mkdir(exist_ok=True)
        (folder / "ratings.csv").write_text("\n".join([header, *ratings]) + "\n")
        (folder / "movies.csv").write_text("\n".join(["movieId,title,genres", *films]) + "\n", encoding="utf-8")
        return tmp_path

    return write


def test_a_rating_is_a_row_at_its_time(relations):
    rows = list(RATINGS_OF_FILMS.examples(relations()))
    assert {"user_id": 7, "film_id": 30, "rating": 4.0} == rows[0].features
    assert ("1970-01-01T00:16:40",) * 2 == (rows[0].begins, rows[0].ends)
    assert [4.0, 2.5, 5.0, 3.0] == [row.features["rating"] for row in rows]


def test_history_is_what_the_user_rated_before_the_latest_first(relations):
    rows = list(NEXT_FILMS.examples(relations()))
    found = [(row.features["user_id"], row.features["film_id"], row.features["history"]) for row in rows]
    assert [(7, 30, ()), (8, 10, ()), (7, 20, (30,)), (7, 10, (20, 30))] == found
    assert [1000, 2000, 2000, 3000] == [row.features["rated_at"] for row in rows]
    assert not any(targets.find_fault(row.features, NEXT_FILMS.targets) for row in rows)


def test_history_has_a_bound(relations):
    ratings = [f"7,{10 * (1 + n % 3)},3.0,{n}" for n in range(9)]
    rows = list(Visits(length=2).examples(relations(ratings)))
    assert [0, 1, *[2] * 7] == [len(row.features["history"]) for row in rows]
    assert (20, 10) == rows[-1].features["history"]


def test_films_are_in_the_order_of_their_ids(relations):
    tables = NEXT_FILMS.tables(relations())
    assert [10, 20, 30] == tables["film_id"].tolist()
    assert [b"First (1995) ", b"Third, The (1999)", b"No year"] == tables["title"].tolist()
    assert [1995, 1999, 0] == tables["year"].tolist()
    assert [1, 2, 0] == tables["genres"].sum(axis=1).tolist()
    assert (3, 20) == describe_films(tables).shape


def test_a_long_title_is_cut_between_characters(relations):
    (title,) = NEXT_FILMS.tables(relations(films=["10," + "é" * TITLE_BYTES + ",Drama"]))["title"].tolist()
    assert "é" * (TITLE_BYTES // 2) == title.decode()


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("7,99,3.0,1", "the film 99 is not in movies.csv"),
        ("7,10,0,1", "the rating 0 is not from 0.5 to 5"),
        ("7,10,nan,1", "the rating nan is not from 0.5 to 5"),
        ("7,10,5.5,1", "the rating 5.5 is not from 0.5 to 5"),
        ("7,x,3.0,1", "not a user, a film, a rating and a time: invalid literal"),
        ("7,10", "not a user, a film, a rating and a time: float"),
        ("7,10,3.0,99999999999999999999", "not a user, a film, a rating and a time:"),
    ],
)
@pytest.mark.parametrize("data", [RATINGS_OF_FILMS, NEXT_FILMS])
def test_a_line_that_is_no_rating_carries_its_fault(relations, data, line, fault):
    rows = list(data.examples(relations([*RATINGS, line])))
    (bad,) = [row for row in rows if row.fault]
    assert bad.fault.startswith(fault)
    assert bad.source.endswith("ratings.csv line 6")
    assert 5 == len(rows)


def test_other_columns(relations):
    with pytest.raises(PipelineError, match=r"ratings\.csv cannot be read completely") as caught:
        list(RATINGS_OF_FILMS.examples(relations(header="user,item,rating,timestamp")))
    assert "the columns user, item, rating, timestamp" in str(caught.value)


def test_a_film_without_a_number(relations):
    with pytest.raises(PipelineError, match=r"movies\.csv line 2 is no film"):
        NEXT_FILMS.tables(relations(films=["x,First (1995),Drama"]))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(PipelineError, match="The files of MovieLens do not exist") as caught:
        NEXT_FILMS.files(tmp_path)
    assert "no ratings.csv and no movies.csv" in str(caught.value)


@pytest.mark.heavy
def test_the_real_relations():
    data = Path(os.environ.get("KERASPIPE_DATA", "/nowhere"))
    if not (data / "movielens").is_dir():
        pytest.skip("MovieLens is not in KERASPIPE_DATA")
    rows = list(NEXT_FILMS.examples(data))
    assert 100_836 == len(rows)
    assert not any(row.fault for row in rows)
    assert 610 == len({row.features["user_id"] for row in rows})
    assert (9742, 20) == describe_films(NEXT_FILMS.tables(data)).shape
    assert np.all(np.diff(NEXT_FILMS.tables(data)["film_id"]) > 0)
