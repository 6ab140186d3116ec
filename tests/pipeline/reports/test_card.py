"""The card, from a run's record to the page."""

from __future__ import annotations

import copy
import json
import shlex

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reports import card, card_content
from pipeline.reports.card_content import collect_content, split_docstring, worst_slice
from pipeline.store import journal

EVALUATION = {
    "metrics": {"loss": 0.2, "accuracy": 0.9},
    "lower_is_better": ["loss"],
    "intervals": {"accuracy": {"low": 0.85, "high": 0.95}},
    "baseline": {"accuracy": 0.8},
    "slices": [
        {"slice": "label=cat", "examples": 40, "metrics": {"accuracy": 0.7, "loss": 0.1}},
        {"slice": "label=<dog>", "examples": 9, "metrics": {"accuracy": 0.8, "loss": 0.9}},
    ],
    "gate": {
        "blessed": True,
        "reasons": [],
        "conditions": [{"name": "accuracy", "passed": True, "words": "accuracy is 0.9, at least 0.8 is required"}],
    },
}


@pytest.fixture
def source(recipe, recipe_text):
    words = "Tells cats.\n\nIn two layers.\n\nPaper: none.\nData: 100 pictures.\nTask: image classification.\n"
    return recipe(("A title. And more.\n\nPaper: none.\n", words), text=recipe_text, name="pets")


@pytest.fixture
def record(settings):
    """A published run as it lies in the workspace."""
    home, folder = settings.workspace, settings.workspace.run("pets-1").root
    folder.mkdir(parents=True)
    report = {"sound": 99, "bad": ["a.png: torn"], "rows": {"train": 80, "test": 20}, "classes": {"cat": 90, "dog": 9}}
    (home.root / "report.json").write_text(json.dumps(report))
    (folder / "evaluation.json").write_text(json.dumps(EVALUATION))
    (folder / "result.json").write_text(json.dumps({"diagnosis": "overfitting after epoch 1", "model_version": 3}))
    path = folder / "journal.jsonl"
    journal.append_event(
        path, "start", recipe="pets", params={"rate": 0.1}, tags={"data_digest": "da7a", "code_digest": "c0de"}
    )
    journal.append_event(path, "file", path="report.json", folder="data")
    journal.append_event(path, "epoch", epoch=1, metrics={"loss": 0.5, "val_loss": 0.6, "learning_rate": 0.1})
    journal.append_event(path, "epoch", epoch=2, metrics={"loss": 0.3, "val_loss": 0.7, "learning_rate": 0.1})
    signatures = {"serving_default": {"inputs": {"x": {}}, "outputs": {"label": {}}}}
    journal.append_event(path, "register", digest="d1", signatures=signatures)
    journal.append_event(path, "publish", version=3, digest="d1", alias="champion")
    return settings.workspace


def test_the_card_lies_next_to_the_run_and_under_the_version(record, source):
    path = card.write_card(record, source, "pets-1")
    assert record.root / "cards" / "pets" / "3.md" == path
    for place in (path, path.with_suffix(".html"), *card.card_paths(record, "pets-1")):
        assert "pets version 3" in place.read_text()


def test_purpose_data_metrics_limits_and_lineage_are_reported(record, source):
    text = card.write_card(record, source, "pets-1").read_text()
    for part in (
        "In two layers.",
        "| task | image classification |",
        "| accuracy | 0.9000 | 0.8500 to 0.9500 | 0.8000 | higher |",
        "| train | 80 |",
        "1 rows could not be used",
        "**The worst slice is label=cat**: accuracy 0.7000 on 40 examples, against 0.9000 overall.",
        "- met: accuracy is 0.9, at least 0.8 is required",
        "Slices of fewer than 30 test examples, with imprecise metrics: label=<dog>.",
        "Its training shows overfitting",
        "| data | `da7a` |",
        "| model | `d1` |",
        "| served as | pets, version 3 |",
    ):
        assert part in text
    assert "Paper: none" not in text.partition("## Data")[0].partition("## Purpose")[2]


def test_the_page_stands_alone_and_what_the_data_hold_is_no_markup(record, source):
    page = card.write_card(record, source, "pets-1").with_suffix(".html").read_text()
    assert "&lt;dog&gt;" in page
    assert "<dog>" not in page
    assert page.count("<polyline") == 2
    for outside in ("src=", "href=", "@import", "<script"):
        assert outside not in page


def test_the_card_has_the_standard_models_on_the_same_rows(record, source):
    words = "gradient boosting accuracy 0.9500, linear model accuracy 0.8000; the network is behind"
    path = record.run("pets-1").evaluation
    path.write_text(json.dumps({**EVALUATION, "baselines": {"models": [], "words": words}}))
    text = card.write_card(record, source, "pets-1")
    for place in (text, text.with_suffix(".html")):
        assert f"Standard models on the same rows: {words}." in place.read_text()


def test_a_run_that_came_to_nothing_has_a_card_that_says_so(settings, source):
    folder = settings.workspace.run("pets-2").root
    folder.mkdir(parents=True)
    journal.append_event(folder / "journal.jsonl", "start", recipe="pets", params={}, tags={})
    path = card.write_card(settings.workspace, source, "pets-2")
    assert card.card_paths(settings.workspace, "pets-2")[0] == path
    assert "**Not published.**" in path.read_text()
    assert "None: the run did not reach its evaluation." in path.read_text()


def test_the_worst_slice_is_the_one_with_the_highest_loss():
    evaluation = {**copy.deepcopy(EVALUATION), "gate": {"conditions": [{"name": "loss", "passed": True}]}}
    assert ("label=<dog>", 0.9) == (worst_slice(evaluation)["slice"], worst_slice(evaluation)["value"])
    for one in evaluation["slices"]:
        one["metrics"]["loss"] = 0.5
    assert 9 == worst_slice(evaluation)["examples"]  # among equals, the fewest examples
    assert {} == worst_slice({"metrics": {"loss": 1.0}, "slices": []})


def test_fields_of_a_docstring_run_over_several_lines():
    words, fields = split_docstring(
        "Cats.\n\n    a ─ b\n\nPaper: One,\nsection 2.\nTask: rows.\n\nNote: more.\nCommand: x\n"
    )
    assert ("    a ─ b\n\n\nNote: more.", {"Paper": "One, section 2.", "Task": "rows.", "Command": "x"}) == (
        words,
        fields,
    )


def test_a_challenger_is_asked_under_its_own_name(record, source):
    path = record.run("pets-1").journal
    journal.append_event(path, "publish", version=3, digest="d1", alias="challenger")
    assert "/models/pets-challenger/versions/3" in collect_content(record, source, "pets-1")["call"]["curl"]
    assert "once it is promoted, as `pets` instead" in card.write_card(record, source, "pets-1").read_text()


@pytest.fixture
def recorded(monkeypatch):
    """Has a model that recorded these requests."""
    from serving.rest import openapi_examples

    def having(**inputs):
        monkeypatch.setattr(openapi_examples, "read_samples", lambda _: {("predict", "serving_default"): inputs})

    return having


def test_the_request_is_the_first_row_that_json_can_hold(recorded, tmp_path):
    recorded(age=np.array([np.nan, 4.5]), job=np.array([b"cook", b"clerk"], object))
    assert {"instances": [{"age": 4.5, "job": "clerk"}]} == card_content.request_body(tmp_path)
    recorded(age=np.array([np.nan]))
    assert {} == card_content.request_body(tmp_path)
    recorded(image_bytes=np.array([b"\x89PNG"], object))
    assert {"instances": [{"image_bytes": {"b64": "iVBORw=="}}]} == card_content.request_body(tmp_path)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=30), max_size=3))
def test_a_shell_hands_the_body_to_curl_as_it_is(row):
    words = shlex.split(card_content.curl_command("pets", 3, {"instances": [row]}, None))
    assert {"instances": [row]} == json.loads(words[words.index("-d") + 1])


def test_a_long_body_is_kept_in_a_file(record, source, recorded):
    recorded(x=np.zeros((1, 2000), np.float32))
    path = card.write_card(record, source, "pets-1")
    kept = path.with_suffix(".request.json")
    assert f"-d @{kept}" in path.read_text()
    assert 2000 == len(json.loads(kept.read_text())["instances"][0]["x"])


def test_what_is_not_published_is_refused_in_words(keraspipe):
    answer = keraspipe("card", "digits@7")
    assert 2 == answer.code
    assert "There is no published version digits@7" in answer.err


def test_numbers_and_intervals_are_short():
    assert ["-", "0.0000", "0.1235", "0.000123"] == [card.format_number(one) for one in (None, 0.0, 0.12345, 0.000123)]
    assert ["", "0.1000 to 0.2000", "0.1000 to 0.2000"] == [
        card.format_interval(one) for one in (None, [0.1, 0.2], {"low": 0.1, "high": 0.2})
    ]
