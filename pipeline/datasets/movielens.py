"""MovieLens (ml-latest-small): 100,836 ratings of 9,742 films by 610 users from 1996 to 2018, as relations.

Source: F. Harper, J. Konstan, The MovieLens datasets: history and context, ACM TiiS 5(4), 2015,
https://grouplens.org/datasets/movielens/latest/.
Licence: the data set's README.txt: research only, redistribution under the same terms, no commercial use.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError, unreadable_file
from pipeline.formats.base import Example

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pipeline.formats.base import Value

SOURCE = "https://files.grouplens.org/datasets/movielens/ml-latest-small.zip"
RATINGS, FILMS = "ratings.csv", "movies.csv"
COLUMNS = {RATINGS: ["userId", "movieId", "rating", "timestamp"], FILMS: ["movieId", "title", "genres"]}
GENRES = (
    "Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama", "Fantasy", "Film-Noir",
    "Horror", "IMAX", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
YEAR = re.compile(r"\((\d{4})[^()]*\)\s*$")
TITLE_BYTES = 160
BEST = 5.0


@dataclass(frozen=True)
class Ratings:
    """Raw inputs `user_id` and `film_id`, label `rating` (0.5 to 5 stars); a row is at the time of its rating.

    Args:
        path: Folder of the files under the data folder.
    """

    path: str = "movielens"
    label: str = "rating"
    classes: tuple[str, ...] = ()

    @property
    def inputs(self) -> dict[str, str]:
        """Who, and what."""
        return {"user_id": "int", "film_id": "int"}

    def files(self, data: Path) -> list[Path]:
        """Returns the files of the ratings and of the films.

        Raises:
            PipelineError: One of them does not exist.
        """
        files = [data / self.path / name for name in COLUMNS]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise PipelineError(
                "The files of MovieLens do not exist.",
                expected=f"{RATINGS} and {FILMS} in {data / self.path}",
                received=f"no {' and no '.join(missing)}",
                action=f"unpack {SOURCE} there, or set KERASPIPE_DATA to the folder above it",
            )
        return files

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the ratings in the order of the file."""
        ratings, films = self.files(data)
        known = {row.get("movieId") for _, row in read_rows(films)}
        for source, row in read_rows(ratings):
            yield self.example(source, row, known)

    def example(self, source: str, row: Mapping[str, Any], films: set[Any]) -> Example:
        """Returns one rating; its fault says why it cannot be used.

        Args:
            source: Its place, for messages.
            row: Its cells.
            films: All values of movieId, as text.
        """
        try:
            user, film = int(row["userId"]), int(row["movieId"])
            rating, moment = float(row["rating"]), datetime.fromtimestamp(int(row["timestamp"]), UTC)
        except (TypeError, ValueError, OverflowError, OSError) as error:
            return Example(source, {}, fault=f"not a user, a film, a rating and a time: {error}")
        fault = "" if 0 < rating <= BEST else f"the rating {rating:g} is not from 0.5 to 5"
        fault = fault or ("" if row["movieId"] in films else f"the film {film} is not in {FILMS}")
        time = moment.strftime("%Y-%m-%dT%H:%M:%S")
        return Example(source, {"user_id": user, "film_id": film, "rating": rating}, "", fault, time, time)

    def tables(self, data: Path) -> dict[str, Any]:
        """Returns the films in the order of their ids.

        Returns:
            {"film_id": (films,) of int, "title": (films,) of bytes, "genres": (films, 19) of 0 and 1,
            "year": (films,), 0 where the title has none}.

        Raises:
            PipelineError: A film has no number, or one of another film.
        """
        import numpy as np

        films = dict(_read_film(source, row) for source, row in read_rows(self.files(data)[1]))
        ids = sorted(films)
        titles = [films[film]["title"].encode()[:TITLE_BYTES] for film in ids]
        genres = [films[film]["genres"].split("|") for film in ids]
        years = [YEAR.search(films[film]["title"]) for film in ids]
        return {
            "film_id": np.array(ids, np.int64),
            "title": np.array([_whole_characters(title) for title in titles], f"S{TITLE_BYTES}"),
            "genres": np.array([[name in own for name in GENRES] for own in genres], np.float32),
            "year": np.array([int(year[1]) if year else 0 for year in years], np.int64),
        }


def describe_films(tables: Mapping[str, Any]) -> Any:
    """Returns what a network gets of the films, (films, 20): genres, and the year from about -6 to 2; 0 for none."""
    import numpy as np

    year = np.where(tables["year"] > 0, (tables["year"] - 1995) / 15, 0)
    return np.concatenate([tables["genres"], year[:, None]], axis=1)


def _whole_characters(text: bytes) -> bytes:
    return text.decode(errors="ignore").encode()


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the place and the cells of each row of a file.

    Raises:
        PipelineError: It is no such table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            _require_columns(list(reader.fieldnames or []), COLUMNS[path.name])
            for row in reader:
                yield f"{path} line {reader.line_num}", row
    except (ValueError, csv.Error) as error:
        raise unreadable_file(path, f"a table with {', '.join(COLUMNS[path.name])}", error) from error


def _require_columns(found: list[str], expected: list[str]) -> None:
    if found[: len(expected)] != expected:
        raise ValueError(f"the columns {', '.join(found)}")


def _read_film(source: str, row: Mapping[str, Any]) -> tuple[int, dict[str, str]]:
    try:
        return int(row["movieId"]), {name: row[name] or "" for name in ("title", "genres")}
    except (TypeError, ValueError) as error:
        raise PipelineError(
            f"{source} is no film.", expected="a number, a title and genres", received=error, action="correct the line"
        ) from error


@dataclass(frozen=True)
class Visits(Ratings):
    """What users rate next: raw input `user_id`, target the film, whatever its rating.

    Targets: `film_id`; `history`, the user's films before, the latest first, -1 after the last one; `rated_at`, the
    time in seconds since 1970.

    Args:
        length: Films of the history.
    """

    length: int = 50
    label: str = ""

    @property
    def inputs(self) -> dict[str, str]:
        """Who."""
        return {"user_id": "int"}

    @property
    def targets(self) -> dict[str, str]:
        """What, after what, and when."""
        return {"film_id": "int", "history": f"int[{self.length}]", "rated_at": "int"}

    def examples(self, data: Path) -> Iterator[Example]:
        """Yields the ratings by their time; ratings of the same second in the order of the file."""
        latest: dict[int, list[int]] = {}
        # Rows that cannot be used have no time, so they come first.
        for example in sorted(super().examples(data), key=lambda example: example.begins):
            if example.fault:
                yield example
                continue
            user, film = example.features["user_id"], example.features["film_id"]
            assert isinstance(user, int)
            assert isinstance(film, int)
            before = latest.setdefault(user, [])
            at = int(datetime.fromisoformat(example.begins).replace(tzinfo=UTC).timestamp())
            features: dict[str, Value] = {"user_id": user, "film_id": film, "history": tuple(before), "rated_at": at}
            yield Example(example.source, features, "", "", example.begins, example.ends)
            latest[user] = [film, *before][: self.length]


RATINGS_OF_FILMS = Ratings()
NEXT_FILMS = Visits()
