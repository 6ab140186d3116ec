"""The Pareto front held against its definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.tuning import pareto
from pipeline.tuning.objectives import parse_objectives
from pipeline.tuning.trial import Trial

OBJECTIVES = parse_objectives("accuracy,latency_ms,size_mb")
VALUES = st.tuples(*[st.integers(0, 4).map(float)] * len(OBJECTIVES))
TRIALS = st.lists(st.tuples(VALUES, st.sampled_from(["complete", "complete", "complete", "failed"])), max_size=20).map(
    lambda rows: [make_trial(number, *row) for number, row in enumerate(rows)]
)


def make_trial(number, values, state="complete"):
    named = {each.name: value for each, value in zip(OBJECTIVES, values, strict=True)}
    return Trial(number, {}, state, named if state == "complete" else {})


def beats(one, other):
    """The definition, by the directions of these objectives."""
    left, right = ((-t.values["accuracy"], t.values["latency_ms"], t.values["size_mb"]) for t in (one, other))
    return left != right and all(a <= b for a, b in zip(left, right, strict=True))


@given(TRIALS)
def test_no_point_beats_another_and_each_other_trial_is_beaten_or_equal(trials):
    front = pareto.pareto_front(trials, OBJECTIVES)
    complete = [trial for trial in trials if trial.state == "complete"]
    assert bool(front) is bool(complete)
    assert not any(beats(one, other) for one in front for other in front)
    for trial in complete:
        covered = [point for point in front if beats(point, trial) or point.values == trial.values]
        assert covered
        assert trial in front or trial.number > min(p.number for p in covered) or any(beats(p, trial) for p in front)
    assert [trial.values["accuracy"] for trial in front] == sorted((t.values["accuracy"] for t in front), reverse=True)


@given(TRIALS)
def test_of_equal_trials_the_first_is_the_point(trials):
    front = pareto.pareto_front(trials, OBJECTIVES)
    seen = [tuple(trial.values.values()) for trial in front]
    assert len(seen) == len(set(seen))
    for point in front:
        assert point.number == min(t.number for t in trials if t.values == point.values)


@given(TRIALS, st.sampled_from([1e-6, 1e3]))
def test_the_balanced_point_is_on_the_front_whatever_the_unit(trials, scale):
    front = pareto.pareto_front(trials, OBJECTIVES)
    balanced = pareto.balanced_point(front, OBJECTIVES)
    assert balanced in front or (balanced is None and not front)
    for trial in front:
        trial.values["size_mb"] *= 2 ** round(scale)
    assert balanced is pareto.balanced_point(front, OBJECTIVES)


def test_the_balanced_point_lies_between_the_extremes():
    values = [(0.99, 10.0, 5.0), (0.97, 2.0, 1.5), (0.5, 1.0, 1.0)]
    front = [make_trial(number, row) for number, row in enumerate(values)]
    assert 1 == pareto.balanced_point(front, OBJECTIVES).number
