"""Recipes that recommend: a table with a column of users and one of items, and perhaps a time and a rating."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError
from pipeline.formats import base
from pipeline.formats.structured.interactions import AGAIN, Interactions
from pipeline.scaffold import forms, profile
from pipeline.scaffold.choices import Bounds, round_significant
from pipeline.scaffold.render import Code, Plan, safe_name
from pipeline.scaffold.structured.interaction_columns import QUANTITY, RATING, choose_columns, find_role
from pipeline.tables.dialect import Dialect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.formats.base import Example
    from pipeline.formats.columns import Column
    from pipeline.scaffold.forms import Form
    from pipeline.scaffold.structured.interaction_columns import InteractionColumns

ROOT = Path("/")  # the paths are absolute here
BEST = 10  # items of an answer
FEWEST_TESTED, USUALLY_TESTED = 20, 200  # users with rows in the test split
SHARES = ((0.05, 0.1), (0.1, 0.15), (0.15, 0.2), (0.2, 0.2), (0.25, 0.25), (0.34, 0.34))  # eval and test of a user
COMPARED = 2000  # users by which the most frequent items are measured
LENGTH = 50  # items of a history
LEAST_LIFT = 1.1  # times the most frequent items' NDCG; where that is nearly 1, half of the way to 1
STEPS = 1000  # of a training
BATCHES = 60  # of an epoch, where the rows suffice for it
SMALLEST_BATCH, LARGEST_BATCH = 64, 1024
FEWEST_EPOCHS, MOST_EPOCHS = 6, 60


def plan_interactions(path: Path, user: str, item: str, dialect: Dialect | None = None) -> Plan:
    """Plans a recommender for a table, whatever else it says.

    Args:
        path: The table; absolute.
        user: Name of the column of the user; found by its name if empty.
        item: The same of the item.
        dialect: What is known of how a CSV file is written.

    Raises:
        UsageError: It is not clear which columns are meant.
        PipelineError: There is too little to learn from.
    """
    form, columns = forms.find_form(path, dialect).inspect(path)
    return plan_columns(path, form, columns, user, item)


def plan_columns(path: Path, form: Form, columns: Sequence[Column], user: str = "", item: str = "") -> Plan:
    """Plans a recommender for a table of which the columns are known; see `plan_interactions`."""
    said = Dialect(**form.written) if form.written else None
    chosen = choose_columns(path, columns, user, item, said)
    arguments = {"path": str(path), **chosen.arguments(), **form.written}
    survey = Survey()
    for example in Interactions(**arguments, length=0).examples(ROOT):
        survey.add(example)
    faults = survey.fault_facts(path)
    share = _choose_share(survey)
    facts = faults | _facts(path, survey, arguments, share) | {"bounds": _popular_bounds(survey, share)}
    rows = [(safe_name(column.name), column.kind, chosen.describe(column.name)) for column in columns]
    notes = [_reading(chosen, columns), *survey.notes()]
    return form.tell(Plan("recommender", facts, ("column", "kind", "used as"), rows, notes))


def _reading(chosen: InteractionColumns, columns: Sequence[Column]) -> str:
    """Says what the table is read as, and how to have it read otherwise."""
    others = [column.name for column in columns if find_role(column.name) in (RATING, QUANTITY)]
    number = safe_name(others[0]) if others else "COLUMN"
    return (
        f"A table of interactions: {safe_name(chosen.user)} takes {safe_name(chosen.item)}; a recommender is written. "
        f"--user and --item name other columns, --target {number} predicts {'it' if others else 'a column'} instead."
    )


@dataclass
class Survey:
    """The rows of a table of interactions, by their time; users and items are numbered as they come.

    Attributes:
        users: Number by id; `items` likewise.
        user: Number of the user of each row; `item` likewise.
        liked: Whether it is a right answer, of each row.
        repeats: Rows with a user and an item that were there before.
        faults: Other rows that cannot be used.
        first: The first of them, in words.
        reasons: How many there are of each kind.
    """

    users: dict[Any, int] = field(default_factory=dict)
    items: dict[Any, int] = field(default_factory=dict)
    user: array[int] = field(default_factory=lambda: array("q"))
    item: array[int] = field(default_factory=lambda: array("q"))
    liked: array[int] = field(default_factory=lambda: array("b"))
    repeats: int = 0
    faults: int = 0
    first: str = ""
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, example: Example) -> None:
        """Counts a row."""
        if example.fault == AGAIN:
            self.repeats += 1
        elif example.fault:
            self.faults += 1
            self.first = self.first or f"{example.source}: {example.fault}"
            self.reasons[base.fault_kind(example.fault)] += 1
        else:
            user, item = (example.features[name] for name in ("user_id", "item_id"))
            self.user.append(self.users.setdefault(user, len(self.users)))
            self.item.append(self.items.setdefault(item, len(self.items)))
            self.liked.append(int(example.features.get("liked", 1)))  # type: ignore[arg-type]  # a whole number

    def fault_facts(self, path: Path) -> dict[str, Any]:
        """Returns what the recipe says of rows that are left out; rows that come again may be most of them.

        Raises:
            PipelineError: There is too little to learn from.
        """
        facts = profile.fault_facts(path, len(self.user) + self.repeats, self.faults, self.first, self.reasons)
        if len(self.items) <= BEST:
            raise PipelineError(
                f"There are too few items to recommend {BEST} of them.",
                expected=f"more than {BEST} different ones, better hundreds",
                received=f"{len(self.items)}{self.describe_faults()}",
                action="name another column with --item, collect more data, or predict a column with --target",
            )
        out = self.faults + self.repeats
        share = out / (len(self.user) + out)
        if share < profile.USUAL_FAULTS:
            return facts
        words = f"{share:.1%} are left out: {self.repeats:,} repeat a user and an item, {self.faults:,} cannot be used"
        return {"bad_share": round(min(1.2 * share + 0.01, 0.99), 3), "bad_reason": words, "faults": out}

    def describe_faults(self) -> str:
        """Returns how many rows cannot be used, to be put behind a number of others; empty where all can."""
        return f", and {self.faults:,} rows that cannot be used; the first: {self.first}" if self.faults else ""

    def notes(self) -> list[str]:
        """Returns notes about rows that are left out."""
        words = f"{self.repeats:,} rows repeat a user and an item: of these the first one counts."
        faults = profile.describe_faults(len(self.user), self.faults, self.first, self.reasons)
        return [words] * bool(self.repeats) + faults

    def count_parts(self, share: tuple[float, float]) -> tuple[Any, Any, Any]:
        """Returns how many rows each user has in train, eval and test, (users,) each, as `GroupTime` splits them."""
        import numpy as np

        rows = np.bincount(self.user, minlength=len(self.users))
        evaluated, tested = ((rows * part).astype(int) for part in share)
        return rows - evaluated - tested, evaluated, tested


def _choose_share(survey: Survey) -> tuple[float, float]:
    """Returns the smallest shares of a user's rows for eval and test with which enough users have some in both.

    Raises:
        PipelineError: Too few users have several rows.
    """
    enough = min(USUALLY_TESTED, len(survey.users) / 2)
    users = 0
    for share in SHARES:
        _, evaluated, tested = survey.count_parts(share)
        users = int(((evaluated > 0) & (tested > 0)).sum())
        if users >= max(enough, FEWEST_TESTED):
            return share
    if users < FEWEST_TESTED:
        raise PipelineError(
            "Too few users have several items to learn from some and to test on others.",
            expected=f"at least {FEWEST_TESTED} users with 3 items or more, better hundreds",
            received=f"{users:,} of {len(survey.users):,} users{survey.describe_faults()}",
            action="name another column with --user, collect more data, or predict a column with --target",
        )
    return SHARES[-1]


def _popular_bounds(survey: Survey, share: tuple[float, float]) -> Bounds:
    """Returns a gate that asks for more than the most frequent items reach."""
    import numpy as np

    from pipeline.evaluation.metrics.ranking import most_frequent, ndcg

    train, evaluated, tested = survey.count_parts(share)
    starts = np.cumsum(train + evaluated + tested) - (train + evaluated + tested)
    by_user = np.argsort(np.array(survey.user), kind="stable")
    items, liked = (np.array(column)[by_user] for column in (survey.item, survey.liked))
    place = np.arange(len(items)) - np.repeat(starts, train + evaluated + tested)
    learnt = items[place < np.repeat(train, train + evaluated + tested)]
    users = np.flatnonzero(tested)
    users = users[:: max(1, len(users) // COMPARED)]
    spans = [(starts[user], starts[user] + train[user], starts[user] + train[user] + evaluated[user]) for user in users]
    known = [set(items[start:end].tolist()) for start, end, _ in spans]
    tests = [slice(first, first + tested[user]) for user, (_, _, first) in zip(users, spans, strict=True)]
    right = [items[rows][liked[rows] > 0].tolist() for rows in tests]
    popular = ndcg(right, most_frequent(learnt, known, BEST), BEST).value
    return Bounds(
        f"The {BEST} most frequent items have NDCG {popular:.4f}.",
        "lift is the NDCG as a multiple of that of the most frequent items",
        at_least={"lift": round(min(LEAST_LIFT, 1 + (1 / popular - 1) / 2), 3) if popular else LEAST_LIFT},
        no_worse={"ndcg": round_significant(max(popular / 10, 0.001))},
        quick={"coverage": 0.0},
    )


def _facts(path: Path, survey: Survey, arguments: dict[str, Any], share: tuple[float, float]) -> dict[str, Any]:
    rows = len(survey.user)
    batch = SMALLEST_BATCH
    while batch < LARGEST_BATCH and rows > 2 * batch * BATCHES:
        batch *= 2
    dated, rated = "time" in arguments, "rating" in arguments
    numbers = ("item", "history", "earlier", *(["liked"] * rated), "log_count")
    return {
        "path": str(path),
        "file": safe_name(path.name),
        "rows": f"{rows:,}",
        "users": f"{len(survey.users):,}",
        "items": f"{len(survey.items):,}",
        "classes": (),
        "arguments": arguments,
        "length": LENGTH,
        "rated": rated,
        "texts": ("item_id", *(["title"] * ("title" in arguments))),
        "teacher": numbers,
        "epochs": max(FEWEST_EPOCHS, min(MOST_EPOCHS, STEPS * batch // rows)),
        "batch_size": batch,
        "split": Code(f'GroupTime("user_id", eval={share[0]}, test={share[1]})'),
        "split_words": "split by time" if dated else "split by hash",
        "title": f"The ten best items of {safe_name(path.name)} for each user.",
        "words": _describe_split(share, dated=dated, rated=rated),
    }


def _describe_split(share: tuple[float, float], *, dated: bool, rated: bool) -> str:
    evaluated, tested = (f"{part:.0%}" for part in share)
    if dated:
        words = (
            f"Of each user the newest {tested} of the rows are test, the {evaluated} before them eval, rounded down."
        )
    else:
        words = (
            f"Without a time, {tested} of the rows of each user are test and {evaluated} eval, by hash of user and "
            "item, rounded down; name a column of times with time= in DATA to test on what came last."
        )
    liked = " What a user rates below the own mean is taken, but no right answer; without rating= in DATA all rows are."
    return words + liked * rated
