"""Hyperparameters: declared in the text, set on the command line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError, UsageError
from pipeline.recipes import catalog, hyperparameters
from pipeline.recipes.hyperparameters import Field
from pipeline.settings import Settings

DIGITS = catalog.find_recipe("digits", Settings())

FINITE = st.floats(allow_nan=False)
WORDS = st.text(st.characters(exclude_characters=",()[]", exclude_categories=["Z", "C"]), min_size=1)


@given(st.integers())
def test_integer_round_trip(value):
    assert value == hyperparameters.parse_value(Field("n", "int", 0), str(value))


@given(FINITE)
def test_float_round_trip(value):
    assert value == hyperparameters.parse_value(Field("x", "float", 0.0), repr(value))


@given(st.text())
def test_any_text_is_taken_as_it_is(value):
    assert value == hyperparameters.parse_value(Field("s", "str", ""), value)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("0", False), ("Yes", True), ("OFF", False)])
def test_truth_values_in_words(text, value):
    assert value is hyperparameters.parse_value(Field("b", "bool", default=True), text)


@pytest.mark.parametrize(
    ("kind", "values"), [("int", st.integers()), ("float", FINITE), ("bool", st.booleans()), ("str", WORDS)]
)
def test_tuple_round_trip(kind, values):
    @given(st.lists(values))
    def check(items):
        field = Field("t", f"tuple[{kind}, ...]", ())
        assert tuple(items) == hyperparameters.parse_value(field, ",".join(map(str, items)))
        assert tuple(items) == hyperparameters.parse_value(field, f"({', '.join(map(str, items))})")

    check()


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int", "1.5"),
        ("int", ""),
        ("int", "many"),
        ("float", "nan"),
        ("float", "-NaN"),
        ("float", "1,5"),
        ("bool", "2"),
        ("bool", ""),
        ("tuple[int, ...]", "1,x"),
        ("tuple[float, ...]", "0.1,nan"),
    ],
)
def test_wrong_type_is_a_usage_error(kind, text):
    with pytest.raises(UsageError) as caught:
        hyperparameters.parse_value(Field("units", kind, 4), text)
    assert f"Received: units={text}" in str(caught.value)
    assert f"Expected: {kind}, for instance units=4" in str(caught.value)
    assert 2 == caught.value.exit_code


def test_declared_fields_in_the_order_of_the_file(recipe):
    found = hyperparameters.fields(recipe())
    assert ["epochs", "rate", "size", "units", "name", "wide", "filters"] == list(found)
    assert Field("epochs", "int", 5, "Range(1, 9)", "at most") == found["epochs"]
    assert Field("filters", "tuple[int, ...]", (8, 16)) == found["filters"]


def test_assignments_replace_defaults_and_the_last_one_wins(recipe):
    values = hyperparameters.resolve(recipe(), ["units=7", "filters=1,2,3", "units=9", "wide=no", "name=a=b"])
    expected = {"epochs": 5, "rate": 0.1, "size": 8, "units": 9, "name": "a=b", "wide": False, "filters": (1, 2, 3)}
    assert expected == values


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("unit=3", "did you mean units?"),
        ("zzz=3", "see them with: keraspipe show plain"),
        ("units", "--set units is not KEY=VALUE"),
        ("=3", "has no hyperparameter ''"),
    ],
)
def test_unknown_key_is_a_usage_error_with_close_names(recipe, assignment, words):
    with pytest.raises(UsageError, match="KEY=VALUE") as caught:
        hyperparameters.resolve(recipe(), [assignment])
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("edit", "received"),
    [
        (("params=Params()", "params=Params(units=9)"), "params=Params(units=9)"),
        (("params=Params()", "params=make()"), "params=make()"),
        (("    params=Params(),\n", ""), "no params"),
        (("units: int = 4", "units: int = 2 * SCALE"), "2 * SCALE"),
    ],
    ids=["arguments", "function", "absent", "computed"],
)
def test_declarations_that_the_text_does_not_tell_are_errors(recipe, edit, received):
    with pytest.raises(PipelineError) as caught:
        hyperparameters.fields(recipe(edit))
    assert f"Received: {received}" in str(caught.value)


@pytest.mark.parametrize(
    "assignment",
    [
        "epochs=0",
        "epochs=-3",
        "batch_size=0",
        "learning_rate=0",
        "learning_rate=-1",
        "learning_rate=inf",
        "dropout=-0.1",
        "filters=0",
        "l2=0",
    ],
)
def test_a_number_that_no_training_can_use_is_a_usage_error(assignment):
    name = assignment.partition("=")[0]
    with pytest.raises(UsageError, match=f"The value of {name} cannot be used") as caught:
        hyperparameters.resolve(DIGITS, [assignment])
    assert f"Received: {assignment}" in str(caught.value)
    assert f"Next: correct --set {name}" in str(caught.value)


@pytest.mark.parametrize("assignment", ["epochs=1", "dropout=0", "learning_rate=5", "shift=0.5", "patience=0"])
def test_a_number_outside_the_search_range_is_allowed(assignment):
    name, _, text = assignment.partition("=")
    assert float(text) == hyperparameters.resolve(DIGITS, [assignment])[name]


def test_a_number_outside_the_search_range_is_named():
    values = hyperparameters.resolve(DIGITS, ["learning_rate=5"])
    expected = "learning_rate=5.0 is outside 0.0001 to 0.01, the range that the recipe declares."
    assert [expected] == hyperparameters.outside_range(DIGITS, values)


@pytest.mark.parametrize(("low", "high", "log"), [(1e-4, 1e-2, True), (0.0, 0.5, False), (1, 9, False)])
@given(value=st.floats(-1e6, -1e-9))
def test_no_negative_number_passes_a_range_of_positive_ones(low, high, log, value):
    field = Field("x", "float", 0.1, f"Range({low}, {high}, log={log})")
    with pytest.raises(UsageError):
        hyperparameters._require_usable(field, value)
