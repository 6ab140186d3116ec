"""Recipes of `new` for tables of interactions: which tables these are, which columns are used, what is refused."""

from __future__ import annotations

import ast
import random

import pytest

from pipeline.errors import PipelineError, UsageError
from pipeline.scaffold import inspect, render
from pipeline.scaffold.structured.interaction_columns import find_role
from pipeline.scaffold.structured.recommendation import BEST
from pipeline.tables.dialect import Dialect

PLACES = 40  # items


def log(users=60, each=25, user="user_id", item="item_id", **more):
    """Rows of users who take items, the same for all who are alike modulo two; more columns by row number."""
    drawn = random.Random(1)
    rows = [
        (f"u{number:03}", f"i{2 * place + number % 2}")
        for number in range(users)
        for place in drawn.sample(range(PLACES // 2), min(each, PLACES // 2))
    ]
    columns = {user: [row[0] for row in rows], item: [row[1] for row in rows]}
    return columns | {name: [make(number) for number in range(len(rows))] for name, make in more.items()}


RATED = {"rating": lambda number: number % 5 + 1, "timestamp": lambda number: 10**9 + number}


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("user_id", "user"),
        ("userId", "user"),
        ("USERID", "user"),
        ("User ID", "user"),
        ("visitorid", "user"),
        ("customer", "user"),
        ("reviewerID", "user"),
        ("movieId", "item"),
        ("sku", "item"),
        ("product_code", "item"),
        ("stars", "rating"),
        ("Quantity", "quantity"),
        ("timestamp", "time"),
        ("created_at", "time"),
        ("order_date", "time"),
        ("title", "title"),
        ("movie_title", "title"),
        ("product name", "title"),
        ("user_name", ""),
        ("user_age", ""),
        ("book_price", ""),
        ("id", ""),
        ("", ""),
        ("季節", ""),
    ],
)
def test_names_of_columns_say_what_they_are(name, role):
    assert role == find_role(name)


def test_a_table_of_users_items_ratings_and_times_is_a_recommender(write_csv, drafted):
    made = drafted(write_csv(log(**RATED)))
    assert "recommender" == made.plan.template
    assert {"user_id": "user", "item_id": "item", "timestamp": "time"}.items() <= made.uses.items()
    assert made.uses["rating"].startswith("rating: below the mean of its user")
    assert "--target rating predicts it instead" in made.plan.notes[0]
    assert 'split=GroupTime("user_id", eval=0.05, test=0.1)' in made.text
    assert "The 10 most frequent items have NDCG" in made.plan.facts["bounds"].baseline
    assert '"liked"' in made.text


@pytest.mark.heavy
def test_a_target_or_another_task_wins(write_csv, drafted):
    path = write_csv(log(**RATED))
    assert "table" == drafted(path, "rating").plan.template
    assert "table" == drafted(path, "rating", "regression").plan.template


@pytest.mark.heavy
def test_a_table_that_says_more_is_an_ordinary_one_but_for_the_task(write_csv, drafted):
    path = write_csv(log(**RATED, price=lambda number: number % 7 / 2))
    assert "table" == drafted(path, "rating").plan.template
    with pytest.raises(UsageError, match="not clear which column is to be predicted"):
        drafted(path)
    made = drafted(path, task="recommendation")
    assert "recommender" == made.plan.template
    assert made.uses["price"].startswith("left out")


@pytest.mark.parametrize(
    "columns",
    [
        log(user="owner"),
        log(item="town"),
        log(customer_id=lambda number: number % 9),
        {"user_id": list(range(200)), "item_id": [n % 20 for n in range(200)], "rating": [n % 5 for n in range(200)]},
        {"user_id": [n % 20 for n in range(200)], "item_id": list(range(200)), "rating": [n % 5 for n in range(200)]},
    ],
    ids=["user", "item", "two users", "single rows of users", "single rows of items"],
)
def test_in_doubt_a_table_is_an_ordinary_one(write_csv, drafted, columns):
    if "rating" in columns:
        assert "table" == drafted(write_csv(columns), "rating").plan.template
    with pytest.raises(UsageError):
        drafted(write_csv(columns | {"x": columns[next(iter(columns))]}))


def test_columns_can_be_named(write_csv):
    path = write_csv(log(user="who", item="what", visits=lambda number: number % 3))
    plan = inspect.make_plan(path, "", "", user="who", item="what")
    assert "recommender" == plan.template
    assert ("who", "what") == tuple(plan.facts["arguments"][name] for name in ("user", "item"))


@pytest.mark.parametrize(
    ("task", "user", "item", "words"),
    [
        ("recommendation", "", "", "which column names the user.*--user with one of who, what, day"),
        ("recommendation", "whoo", "what", "There is no column 'whoo'.*did you mean who?"),
        ("recommendation", "who", "", "which column names the item"),
        ("recommendation", "who", "who", "cannot be both the user and the item"),
        ("recommendation", "who", "day", "cannot name the item.*dates"),
        ("regression", "who", "what", "no column is predicted"),
    ],
)
def test_columns_that_are_not_there_are_told(write_csv, task, user, item, words):
    path = write_csv(log(user="who", item="what", day=lambda number: f"2024-01-{number % 28 + 1:02}"))
    with pytest.raises(UsageError, match=f"(?s){words}"):
        inspect.make_plan(path, "", task, user=user, item=item)


def test_a_target_and_no_table_are_refused(write_csv, images):
    with pytest.raises(UsageError, match="no column is predicted"):
        inspect.make_plan(write_csv(log(**RATED)), "rating", "recommendation")
    with pytest.raises(UsageError, match="no table of interactions"):
        inspect.make_plan(images, "", "recommendation")


def test_without_a_time_the_split_is_by_hash_and_the_recipe_says_it(write_csv, drafted):
    made = drafted(write_csv(log()))
    assert "GroupTime" in made.text
    assert "Without a time, 10% of the rows of each user are test and 5% eval, by hash" in made.text
    assert "liked" not in made.text


def test_a_title_is_in_the_answer(write_csv, drafted):
    columns = log()
    columns["item_name"] = [f"Item {name}" for name in columns["item_id"]]
    made = drafted(write_csv(columns))
    assert "title of the item" == made.uses["item_name"]
    assert 'TEXTS = ("item_id", "title")' in made.text


def test_ratings_and_times_that_are_text_are_left_out(write_csv, drafted):
    words = {"rating": lambda n: ["good", "bad", "fair"][n % 3], "time": lambda n: ["soon", "later"][n % 2]}
    made = drafted(write_csv(log(**words)))
    assert "recommender" == made.plan.template
    assert "left out: its cells are no numbers" == made.uses["rating"]
    assert made.uses["time"].startswith("left out: its cells are no times")


def test_dates_with_slashes_are_read_in_an_order(write_csv, drafted):
    made = drafted(write_csv(log(date=lambda number: f"1/{number % 28 + 1}/2024")))
    assert "time, read month first" == made.uses["date"]
    assert 'order="month first"' in made.text


def test_rows_that_come_again_may_be_most(write_csv, drafted):
    columns = {name: cells * 3 for name, cells in log().items()}
    made = drafted(write_csv(columns))
    assert "2,400 rows repeat a user and an item: of these the first one counts." in made.plan.notes
    assert "bad_share=0.81" in made.text


def test_rows_without_a_user_are_counted(write_csv, drafted):
    columns = log()
    columns["user_id"][:30] = [""] * 30
    made = drafted(write_csv(columns))
    assert any("30 of 1200 rows cannot be used: column user_id is empty" in note for note in made.plan.notes)


def test_rows_without_a_user_are_named_where_too_few_users_are_left(write_csv, drafted):
    columns = log(users=30)
    columns["user_id"] = [user if user < "u015" else "" for user in columns["user_id"]]
    with pytest.raises(
        PipelineError, match=r"15 of 15 users, and 300 rows that cannot be used; the first: .* is empty"
    ):
        drafted(write_csv(columns))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"user_id": [], "item_id": []}, "has no rows"),
        ({"user_id": ["u"] * 60, "item_id": [f"i{n % 30}" for n in range(60)]}, "same value in every row"),
        (log(users=10), "Too few users have several items"),
        (log(users=200, each=2), "Too few users have several items"),
        (
            {"user_id": [f"u{n % 99}" for n in range(990)], "item_id": [f"i{n // 99}" for n in range(990)]},
            "too few items",
        ),
        (log(users=2, each=5), "too few usable rows"),
    ],
    ids=["empty", "one user", "few users", "few rows of each", "few items", "few rows"],
)
def test_too_little_is_told(write_csv, columns, words):
    with pytest.raises(PipelineError, match=words) as error:
        inspect.make_plan(write_csv(columns), "", "recommendation")
    assert all(part in str(error.value) for part in ("Expected: ", "Received: ", "Next: "))


def test_an_empty_file_is_told(tmp_path):
    (tmp_path / "log.csv").write_text("")
    with pytest.raises(PipelineError, match="an empty file"):
        inspect.make_plan(tmp_path / "log.csv", "", "recommendation")


def test_shares_grow_where_users_have_few_rows(write_csv, drafted):
    made = drafted(write_csv(log(users=300, each=4)))
    assert 'split=GroupTime("user_id", eval=0.25, test=0.25)' in made.text


def test_the_recipe_is_short_and_has_what_a_client_asks(write_csv, drafted):
    columns = log(**RATED)
    columns["title"] = [f"Item {name}" for name in columns["item_id"]]
    made = drafted(write_csv(columns))
    assert len(made.text.splitlines()) <= 250
    names = {node.name for node in ast.walk(ast.parse(made.text)) if isinstance(node, ast.FunctionDef)}
    assert {"embed_user", "embed_item", "score", "finish", "outputs"} <= names
    assert f"BEST = {BEST}  " in made.text


def test_odd_names_and_a_dialect_are_written_as_they_are(tmp_path, write_csv):
    names = ('wer "?"', "was {x}\\")
    path = write_csv(log(user=names[0], item=names[1]), "{# käufe's #}.csv")
    semicolons = tmp_path / "other.csv"
    semicolons.write_text("\n".join(line.replace(",", ";") for line in path.read_text("utf-8").splitlines()[1:]))
    plan = inspect.make_plan(path, "", "", user=names[0], item=names[1])
    arguments = ast.parse(render.render_recipe(plan, "mine"))
    call = next(node.value for node in arguments.body if isinstance(node, ast.Assign) and node.targets[0].id == "DATA")
    values = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    assert (str(path), *names) == tuple(values[name] for name in ("path", "user", "item"))
    headless = inspect.make_plan(semicolons, "", "", Dialect(header=0), "column_1", "column_2")
    assert "header=0," in render.render_recipe(headless, "mine")
    assert headless.facts["users"] == plan.facts["users"]


def test_the_gate_leaves_room_above_what_is_popular(write_csv, drafted):
    rows = [(f"u{user}", f"i{item}") for user in range(60) for item in range(12)]
    made = drafted(write_csv({"user_id": [row[0] for row in rows], "item_id": [row[1] for row in rows]}))
    popular = float(made.plan.facts["bounds"].baseline.split()[-1].rstrip("."))
    assert 1 < made.plan.facts["bounds"].at_least["lift"] < 1 / popular


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["play_time", "watch_time", "release_date"])
def test_a_duration_and_a_date_of_the_item_are_no_time_of_the_interaction(write_csv, drafted, name):
    made = drafted(write_csv(log(**{name: lambda number: number % 90 + 1})), task="recommendation")
    assert "time" not in made.plan.facts["arguments"]
    assert made.uses[name].startswith("left out")


def test_the_plain_name_of_a_time_comes_first(write_csv, drafted):
    times = {"play_time": lambda number: number % 90, "timestamp": lambda number: 10**9 + number}
    made = drafted(write_csv(log(**times)), task="recommendation")
    assert "timestamp" == made.plan.facts["arguments"]["time"]


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("third", "rating"),
    [
        (lambda number: number % 5 + 1, "column_3"),
        (lambda number: number % 7 / 2, "column_3"),
        (lambda _: 1, ""),
        (lambda number: number % 30, ""),
        (lambda number: number % 4 - 1, ""),
        (lambda number: number % 3 / 3, ""),
    ],
    ids=["stars", "half stars", "always one", "counts", "below zero", "thirds"],
)
def test_without_a_header_ratings_and_times_are_found_by_their_numbers(tmp_path, third, rating):
    rows = zip(*log(third=third, when=lambda number: 881_250_949 + number).values(), strict=True)
    path = tmp_path / "u.data"
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    made = inspect.make_plan(path, "", "", user="column_1", item="column_2").facts["arguments"]
    assert (rating, "column_4") == (made.get("rating", ""), made.get("time", ""))
