"""The space of a search: what lies in it, and that a command line says the same."""

from __future__ import annotations

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError, UsageError
from pipeline.recipe import Choice, Range, Widths
from pipeline.recipes import catalog, hyperparameters
from pipeline.recipes.hyperparameters import Field
from pipeline.settings import Settings
from pipeline.tuning import space

optuna.logging.set_verbosity(optuna.logging.ERROR)

WHOLE = st.integers(1, 5000)
REAL = st.floats(1e-9, 1e9)


def field(kind, default, declared=""):
    return Field("x", kind, default, declared)


def sampled(found, seed):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    return found.suggest(study.ask())


def require_round_trip(found, value):
    key, _, text = hyperparameters.format_assignment(found.field.name, value).partition("=")
    assert (found.field.name, value) == (key, hyperparameters.parse_value(found.field, text))


@settings(deadline=None, max_examples=40)
@given(st.tuples(WHOLE, WHOLE).map(sorted), st.booleans(), st.integers(0, 99))
def test_an_integer_lies_in_its_range(bounds, log, seed):
    found = space.make_dimension(field("int", 1, f"Range({bounds[0]}, {bounds[1]}, log={log})"))
    value = sampled(found, seed)
    assert isinstance(value, int)
    assert bounds[0] <= value <= bounds[1]
    require_round_trip(found, value)


@settings(deadline=None, max_examples=40)
@given(st.tuples(REAL, REAL).map(sorted), st.booleans(), st.integers(0, 99))
def test_a_float_lies_in_its_range_and_is_short(bounds, log, seed):
    found = space.make_dimension(field("float", 1.0, f"Range({bounds[0]!r}, {bounds[1]!r}, log={log})"))
    value = sampled(found, seed)
    assert bounds[0] <= value <= bounds[1]
    assert value in (*bounds, float(f"{value:.3g}"))
    require_round_trip(found, value)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.integers(0, 3), st.tuples(WHOLE, WHOLE).map(sorted), st.integers(0, 99))
def test_an_architecture_has_its_layers_and_widths(fewest, more, bounds, seed):
    declared = f"Widths({fewest}, {fewest + more}, {bounds[0]}, {bounds[1]})"
    found = space.make_dimension(field("tuple[int, ...]", (8,), declared))
    value = sampled(found, seed)
    assert fewest <= len(value) <= fewest + more
    assert all(bounds[0] <= width <= bounds[1] for width in value)
    require_round_trip(found, value)


@settings(deadline=None, max_examples=40)
@given(st.lists(WHOLE, min_size=1, max_size=5).map(tuple), st.integers(0, 99))
def test_without_a_range_an_architecture_stays_near_its_default(default, seed):
    found = space.make_dimension(field("tuple[int, ...]", default))
    value = sampled(found, seed)
    assert abs(len(value) - len(default)) <= 1
    for width, usual in zip(value, (*default, default[-1]), strict=False):
        assert usual // 2 <= width <= 2 * usual
    assert found.contains(default)
    require_round_trip(found, value)


@settings(deadline=None, max_examples=40)
@given(st.lists(WHOLE, min_size=1, max_size=5).map(tuple), st.integers(0, 99))
def test_a_pinned_trial_gives_the_default(default, seed):
    found = space.make_dimension(field("tuple[int, ...]", default))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    study.enqueue_trial(found.optuna_params(default))
    assert default == found.suggest(study.ask())


@pytest.mark.parametrize(
    ("kind", "declared", "values"),
    [
        ("str", "Choice('adam', 'sgd')", {"adam", "sgd"}),
        ("int", "Choice(3, 5)", {3, 5}),
        ("tuple[int, int]", "Choice((3, 3), (5, 5))", {(3, 3), (5, 5)}),
        ("bool", "", {True, False}),
    ],
)
def test_names_are_tried_as_values_of_their_type(kind, declared, values):
    found = space.make_dimension(field(kind, next(iter(values)), declared))
    seen = {sampled(found, seed) for seed in range(20)}
    assert values == seen
    for value in seen:
        assert found.contains(value)
        require_round_trip(found, value)


@pytest.mark.parametrize(
    ("kind", "default"), [("str", "adam"), ("float", 0.1), ("int", 3), ("tuple[str, ...]", ("a",))]
)
def test_what_declares_no_range_is_not_searched(kind, default):
    assert space.make_dimension(field(kind, default)) is None


@pytest.mark.parametrize(
    ("kind", "declared"),
    [
        ("float", "Range(2.0, 1.0)"),
        ("float", "Range(0.0, 1.0, log=True)"),
        ("str", "Range(0, 1)"),
        ("str", "Choice()"),
        ("int", "Choice('many')"),
        ("int", "Widths(1, 2, 8, 16)"),
        ("tuple[int, ...]", "Widths(0, 2, 8, 16)"),
        ("float", "Range(LOW, 1.0)"),
        ("float", "Between(0, 1)"),
        ("float", "3"),
    ],
)
def test_a_range_that_does_not_fit_is_an_error_in_words(kind, declared):
    with pytest.raises(PipelineError, match="Expected: "):
        space.make_dimension(field(kind, (8,), declared))


def test_the_text_of_a_range_is_read_as_the_range():
    assert Range(1e-4, 0.1, log=True) == hyperparameters.search_range(
        field("float", 0.1, "Range(0.0001, 0.1, log=True)")
    )
    assert Choice("a", "b") == hyperparameters.search_range(field("str", "a", "recipe.Choice('a', 'b')"))
    assert Widths(1, 4, 8, 128) == hyperparameters.search_range(field("tuple[int, ...]", (8,), "Widths(1, 4, 8, 128)"))


def test_a_ladder_holds_its_bounds_and_powers_of_two_with_what_lies_between():
    assert (10, 12, 16, 24, 32, 48, 50) == space.width_ladder(10, 50)
    assert (7,) == space.width_ladder(7, 7)


@pytest.mark.parametrize("name", [path.stem for path in catalog.recipe_paths(Settings()).values()])
def test_every_recipe_can_be_searched_from_its_own_values(name):
    source = catalog.find_recipe(name, Settings())
    found = space.build_space(source, hyperparameters.resolve(source, []), [], [])
    study = optuna.create_study()
    study.enqueue_trial(found.optuna_params())
    assert {} == found.changes(found.suggest(study.ask()))
    assert not {"epochs", "patience", "loss"} & found.dimensions.keys()


def test_a_search_says_what_it_searches():
    source = catalog.find_recipe("mnist", Settings())
    said = space.build_space(
        source, hyperparameters.resolve(source, []), ["filters", "batch_norm", "dropout"], []
    ).describe()
    expected = {"filters": "1 to 3 layers of 16 to 64, 32 to 128, 32 to 128", "batch_norm": "False or True"}
    assert expected == {name: said[name] for name in expected}
    assert said["dropout"].startswith("Range(")


def test_only_and_set_narrow_the_search():
    source = catalog.find_recipe("mnist", Settings())
    base = hyperparameters.resolve(source, ["dropout=0.1"])
    assert "dropout" not in space.build_space(source, base, [], ["dropout"]).dimensions
    assert ["filters", "epochs"] == sorted(
        space.build_space(source, base, ["epochs", "filters"], []).dimensions, reverse=True
    )


@pytest.mark.parametrize(
    ("only", "fixed", "said"),
    [
        (["filtres"], [], "did you mean filters"),
        (["filters"], ["filters"], "both set and searched"),
        (["patience"], [], "declares no range for patience"),
    ],
)
def test_what_cannot_be_searched_is_an_error_in_words(only, fixed, said):
    source = catalog.find_recipe("mnist", Settings())
    with pytest.raises(UsageError, match=said):
        space.build_space(source, hyperparameters.resolve(source, []), only, fixed)
