"""The gate by standard models: of tables, of files in folders of classes, of time series."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.baseline.rolling import Skills
from pipeline.scaffold import baseline
from pipeline.scaffold.choices import number_bounds
from pipeline.scaffold.series import BOUNDS

ROWS = 300
TRUTH = np.random.default_rng(1).gamma(2.0, 30.0, ROWS).round(2)
NOISE = np.random.default_rng(2).normal(size=ROWS)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_the_gate_asks_for_what_a_linear_model_reaches_whatever_the_unit(plan, unit):
    target = unit * (3 * NOISE + 0.1 * NOISE[::-1])
    bounds = plan({"x": NOISE, "z": TRUTH, "price": target}).facts["bounds"]
    assert 0.08 * unit < bounds.at_most["mae"] < 0.4 * unit
    assert "Linear model reaches mae" in bounds.baseline
    assert 1.5 * unit < number_bounds(list(target)).at_most["mae"]


def test_the_gate_never_asks_for_more_than_the_standard_model_reaches(plan):
    hard = np.where(0.7 * NOISE + NOISE[::-1] > 0, "yes", "no")
    bounds = plan({"x": NOISE, "price": hard}).facts["bounds"]
    reached = float(bounds.baseline.split("reaches accuracy ")[1].split()[0])
    assert 0.5 < bounds.at_least["accuracy"] < reached - 0.02


def test_where_nothing_can_be_learnt_the_gate_asks_for_more_than_chance_and_says_so(plan):
    classes = np.array(["a", "b", "c"])[np.arange(ROWS) % 3]
    bounds = plan({"x": NOISE, "price": classes}).facts["bounds"]
    assert bounds.at_least["accuracy"] > 0.4
    assert "not better than guessing" in bounds.baseline


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_a_network_ten_times_worse_than_a_linear_model_is_not_blessed(plan, unit):
    others = np.random.default_rng(3).normal(size=ROWS)
    target = unit * (3 * NOISE - others + 0.05 * NOISE[::-1])
    bounds = plan({"x": NOISE, "z": others, "price": target}).facts["bounds"]
    reached = float(bounds.baseline.split("reaches mae ")[1].split()[0].replace(",", ""))
    assert reached < bounds.at_most["mae"] < 4 * reached


@pytest.mark.parametrize(
    ("error", "guess", "spread", "allowed"),
    [
        (3.0, 10.0, 0.0, 3.7),  # a tenth of the way
        (3.0, 10.0, 1.0, 5.0),  # two standard errors
        (3.0, 10.0, 5.0, 6.5),  # half of the way
        (0.2, 10.0, 0.0, 0.6),  # three times
        (0.2, 10.0, 0.4, 1.0),  # two standard errors are more than that
        (0.0, 10.0, 0.0, 0.1),  # no training ends at zero
    ],
)
def test_how_far_a_network_may_be_behind(error, guess, spread, allowed):
    assert pytest.approx(allowed) == baseline.allowed_error(error, guess, spread)


@pytest.mark.parametrize("kind", ["images", "texts", "recordings"])
def test_files_have_a_gate_by_a_linear_model(request, drafted, kind):
    bounds = drafted(request.getfixturevalue(kind)).plan.facts["bounds"]
    assert f"Logistic regression reaches accuracy 1.0000 on {kind} left out." in bounds.baseline
    assert 0.75 < bounds.at_least["accuracy"] < 0.85  # two of about twelve may be wrong


def test_files_of_an_official_test_are_not_learnt_from(drafted, images):
    for split, folders in (("train", ("dark", "light")), ("test", ())):
        (images / split).mkdir()
        for name in folders:
            (images / name).rename(images / split / name)
    for name, other in (("dark", "light"), ("light", "dark")):
        (images / "test" / name).mkdir()
        for number in range(10):  # a test split with all labels wrong
            source = images / "train" / other / f"{number}.png"
            (images / "test" / name / f"{number}.png").write_bytes(source.read_bytes())
    assert "reaches accuracy 1.0000 on images left out" in drafted(images).plan.facts["bounds"].baseline


def test_files_that_cannot_be_told_apart_keep_the_gate_above_guessing(drafted, texts):
    for path in texts.rglob("*.txt"):
        path.write_text(f"the same words and {int(path.stem) % 7} of nothing")
    bounds = drafted(texts).plan.facts["bounds"]
    assert "not better than guessing" in bounds.baseline
    assert bounds.at_least["accuracy"] > 0.6


def test_a_series_has_a_gate_by_a_linear_autoregression(drafted, write_csv, series):
    found = drafted(write_csv(series), "sold")
    bounds = found.plan.facts["bounds"]
    assert "Linear autoregression errs by" in bounds.baseline
    assert bounds.at_least["skill"] > 0.5
    assert f"{bounds.at_least['skill']}" in found.text


def test_a_network_far_behind_an_autoregression_is_not_blessed():
    bounds = baseline.series_bounds(BOUNDS, [Skills(0.9998, 0.98), Skills(0.9997, 0.98)])
    assert {"skill": 0.99, "skill_best": 0.94} == bounds.at_least
    assert "errs by 0.03 % of the error of repeating the last value and 2 % of that of the best" in bounds.baseline


@pytest.mark.parametrize(
    ("skills", "words"), [([Skills(0.3, -0.28)], "errs by 70 % of the error"), ([], "too short to measure")]
)
def test_a_series_that_is_not_learnt_keeps_the_gate_above_naive_forecasts(skills, words):
    bounds = baseline.series_bounds(BOUNDS, skills)
    assert BOUNDS.at_least == bounds.at_least
    assert words in bounds.baseline


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0003, "0.03 %"), (0.12, "12 %"), (0.97, "97 %"), (0.9961, "100 %"), (1.0, "100 %"), (1.234, "123 %")],
)
def test_shares_are_in_words(share, words):
    assert words == baseline.format_share(share)
