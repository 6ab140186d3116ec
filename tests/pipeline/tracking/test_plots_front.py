"""The picture of a Pareto front: panels, marks and numbers."""

from __future__ import annotations

import io

import pytest

from pipeline.plots.front import draw_front

AXES = [
    {"name": "accuracy", "direction": "max", "axis": "accuracy on the eval split (more is better)"},
    {"name": "latency_ms", "direction": "min", "axis": "latency of one row, ms (less is better)"},
    {"name": "parameters", "direction": "min", "axis": "parameters, number (less is better)"},
]
VALUES = [(0.9, 0.4, 1000.0), (0.99, 3.0, 2e6), (0.95, 0.5, 5000.0), (0.5, 2.0, 3e6)]


def make_facts(count, **fields):
    names = [each["name"] for each in AXES[:count]]
    trials = [
        {"number": number, "values": dict(zip(names, values, strict=False))} for number, values in enumerate(VALUES)
    ]
    facts = {"objectives": AXES[:count], "trials": trials, "front": [1, 2, 0], "balanced": 2, "picked": None, "own": 0}
    return {**facts, **fields}


def draw(facts):
    figure = draw_front(facts)
    figure.savefig(io.BytesIO(), format="png")
    return figure


def legend(figure):
    return {text.get_text() for text in figure.legends[0].get_texts()}


@pytest.mark.parametrize(("count", "panels"), [(2, 1), (3, 3)])
def test_each_pair_of_objectives_is_a_panel_with_units_and_what_is_better(count, panels):
    figure = draw(make_facts(count))
    assert panels == len(figure.axes)
    assert AXES[1]["axis"] == figure.axes[0].get_xlabel()
    assert AXES[0]["axis"] == figure.axes[0].get_ylabel()
    assert "3 of 4 trials" in figure.get_suptitle()
    assert ["1", "2", "0"] == [text.get_text() for text in figure.axes[0].texts]


def test_recipe_balanced_and_picked_point_are_marked():
    assert {"the recipe's own values", "balanced: nearest to all bests", "beaten by a trial on the front"} <= legend(
        draw(make_facts(2))
    )
    assert "picked" not in legend(draw(make_facts(2)))
    assert "picked" in legend(draw(make_facts(2, picked=1)))
    assert "the recipe's own values" not in legend(draw(make_facts(2, own=None)))


def test_an_axis_over_orders_of_magnitude_is_logarithmic():
    panels = draw(make_facts(3)).axes
    assert [("linear", "linear"), ("log", "linear"), ("log", "linear")] == [
        (axes.get_xscale(), axes.get_yscale()) for axes in panels
    ]


def test_numbers_that_would_cover_each_other_are_one_text():
    facts = make_facts(2)
    facts["trials"].append({"number": 7, "values": {"accuracy": 0.9500001, "latency_ms": 0.5}})
    figure = draw({**facts, "front": [1, 7, 2, 0]})
    assert ["1", "7, 2", "0"] == [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("count", [2, 3])
def test_a_front_of_one_trial_and_one_of_equal_values_can_be_drawn(count):
    facts = make_facts(count)
    alone = {**facts, "trials": facts["trials"][:1], "front": [0], "balanced": 0}
    assert "1 of 1 trials" in draw(alone).get_suptitle()
