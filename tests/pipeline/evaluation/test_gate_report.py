"""The gate's page, from a whole evaluation and from the least there can be."""

from __future__ import annotations

from pipeline.evaluation import gate_report

CONDITION = {"where": "", "asked": "at least 0.9", "reached": 0.95, "margin": 0.05, "passed": True, "words": "w"}
WHOLE = {
    "recipe": "digits",
    "run_id": "digits-1",
    "metrics": {"accuracy": 0.95, "loss": 0.3},
    "intervals": {"accuracy": [0.91, 0.98]},
    "baseline": {"accuracy": 0.99, "loss": 0.2},
    "comparisons": {"accuracy": {"worse": 0.04, "low": 0.01, "high": 0.07, "p": 0.0123, "rows": 200, "test": "t"}},
    "slices": [
        {"slice": "label=a|b", "examples": 50, "metrics": {"accuracy": 0.99}, "intervals": {"accuracy": [0.9, 1.0]}},
        {"slice": "label=c", "examples": 5, "metrics": {"accuracy": 0.5}, "intervals": {}},
    ],
    "cost": {
        "weights": 66218,
        "flops": None,
        "size_mb": 0.89,
        "latency_ms": {"p50": 0.431, "p95": 12.67, "p99": 13.0, "calls": 9},
        "difference": 3e-7,
    },
    "calibration": {"error": 0.02, "bins": []},
    "gate": {
        "blessed": False,
        "reasons": ["accuracy is worse"],
        "min_slice_examples": 20,
        "conditions": [
            {**CONDITION, "kind": "at_least", "name": "accuracy"},
            {**CONDITION, "kind": "no_worse", "name": "accuracy", "passed": False, "words": "worse by 0.04"},
            {**CONDITION, "kind": "slice", "name": "accuracy", "where": "label=a", "reached": None, "margin": None},
        ],
    },
}

BASELINES = {
    "verdict": "behind",
    "metric": "accuracy",
    "models": [
        {"name": "gradient boosting", "metrics": {"accuracy": 0.97, "loss": 0.1}},
        {"name": "linear model", "metrics": {"accuracy": 0.9}},
    ],
    "words": "gradient boosting accuracy 0.9700, linear model accuracy 0.9000; the network is behind",
}


def test_a_page_says_the_verdict_first_and_what_is_missed_before_what_is_met():
    text = gate_report.render_markdown(WHOLE)
    lines = text.splitlines()
    assert ["# Not blessed: digits (digits-1)", "", "- accuracy is worse"] == lines[:3]
    rows = [line for line in lines if line.startswith(("| **missed**", "| met"))]
    assert ["| **missed** | accuracy | at least 0.9 | 0.9500 | +0.0500 |", "| met | accuracy on label=a "] == [
        rows[0],
        rows[2][: rows[2].index("| at least")],
    ]
    assert "- worse by 0.04" in lines


def test_a_page_has_intervals_tests_slices_and_costs():
    lines = gate_report.render_markdown(WHOLE).splitlines()
    assert "| accuracy | 0.9500 | 0.9100 to 0.9800 | 0.9900 | +0.0400 | 0.0100 to 0.0700 | 0.0123 |" in lines
    assert "| loss | 0.3000 | - | 0.2000 | - | - | - |" in lines
    worst, best = (line for line in lines if line.startswith("| label="))
    assert "| label=c | 5 | 0.5000 |" == worst
    assert "| label=a/b | 50 | 0.9900 (0.9000 to 1.0000) |" == best
    assert "Slices with fewer than 20 examples are not checked." in lines
    assert "| latency of one row, median | 0.4310 ms |" in lines
    assert "| served and in-memory answers differ by | 3e-07 |" in lines
    assert not [line for line in lines if line.startswith("| operations")]


def test_a_page_has_the_standard_models_next_to_the_network():
    lines = gate_report.render_markdown({**WHOLE, "baselines": BASELINES}).splitlines()
    start = lines.index("## Baseline: standard models on the same rows")
    assert "| model | accuracy | loss |" == lines[start + 2]
    assert [
        "| this network | 0.9500 | 0.3000 |",
        "| gradient boosting | 0.9700 | 0.1000 |",
        "| linear model | 0.9000 | - |",
    ] == lines[start + 4 : start + 7]
    assert f"{BASELINES['words']}." in lines[start:]
    assert "Baseline" not in gate_report.render_markdown(WHOLE)


def test_slices_of_an_error_have_the_largest_first():
    slices = [{"slice": f"s={n}", "examples": 50, "metrics": {"mae": float(n)}} for n in range(30)]
    text = gate_report.render_markdown({**WHOLE, "lower_is_better": ["mae"], "slices": slices})
    rows = [line for line in text.splitlines() if line.startswith("| s=")]
    assert ("| s=29 | 50 | 29.0000 |", 20) == (rows[0], len(rows))
    assert "… and 10 more." in text


def test_the_least_there_can_be():
    text = gate_report.render_markdown({"metrics": {"accuracy": 0.9}, "gate": {"blessed": True}})
    assert text.startswith("# Blessed\n\nAll conditions are met.\n")
    assert "| accuracy | 0.9000 | - |" in text
