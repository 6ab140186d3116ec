"""Pictures of what a model answered: what they say, and that there is something to see."""

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.evaluation import diagnostics
from pipeline.plots.curves import calibration as draw_calibration
from pipeline.plots.curves import precision_recall, roc
from pipeline.plots.errors import mistakes as draw_mistakes
from pipeline.plots.errors import residuals as draw_residuals
from pipeline.plots.examples import forecast as draw_forecast
from pipeline.plots.examples import reconstructions
from pipeline.tracking.evaluation import PICTURES, flatten_metrics, plot_functions

RANDOM = np.random.default_rng(1)


def drawn(figure) -> np.ndarray:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer).convert("L"))


def labels(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.fixture
def two():
    """Curves of two classes, one told well and one not."""
    truth = RANDOM.integers(0, 2, 300)
    score = {"good": truth + RANDOM.normal(0, 0.1, 300), "bad": RANDOM.normal(0, 1, 300)}
    return diagnostics.describe_curves(dict.fromkeys(score, truth == 1), score)


def test_every_picture_has_somebody_who_draws_it():
    assert set(PICTURES) == set(plot_functions())


def test_curves_name_classes_and_areas(two):
    figure = roc(two)
    assert [line.split(":")[0] for line in labels(figure.axes[0])] == ["guessing", "bad", "good"]
    assert labels(figure.axes[0])[2] == f"good: {two[1]['area']:.4f}"
    assert drawn(figure).std() > 10
    figure = precision_recall(two)
    assert labels(figure.axes[0])[0] == f"bad: {two[0]['average_precision']:.4f}"
    assert drawn(figure).std() > 10


@pytest.mark.parametrize("rows", [1, 7, 900])
def test_calibration_of_any_number_of_rows(rows):
    probabilities = RANDOM.dirichlet(np.ones(3), rows)
    found = diagnostics.describe_calibration(probabilities, RANDOM.integers(0, 3, rows))
    figure = draw_calibration(found)
    assert f"error {found['error']:.4f}" in figure.axes[0].get_title()
    assert drawn(figure).std() > 10


def test_residuals_next_to_the_diagonal():
    truth = RANDOM.normal(0, 1, 500)
    figure = draw_residuals(diagnostics.describe_residuals(truth, truth + 0.5))
    assert figure.axes[0].get_title() == "200 test examples"
    assert labels(figure.axes[1]) == ["mean +0.5"]
    assert drawn(figure).std() > 10


@pytest.mark.parametrize("live", [None, np.zeros((50, 6))])
def test_forecasts_with_their_past(live):
    truth = RANDOM.normal(0, 1, (50, 6))
    found = diagnostics.describe_forecast(truth, truth / 2, live)
    found["windows"][0]["past"] = [1.0, None, 2.0]
    figure = draw_forecast(found)
    assert labels(figure.axes[0]) == ["candidate"] + ["live model"] * (live is not None)
    assert len(figure.axes) == 5
    assert figure.axes[4].get_title().endswith("the worst")
    assert drawn(figure).std() > 10


MISTAKES = {
    "text": {"text": {"text": "cost $5 and $6 " * 60}},
    "columns": {f"column_{n}": {"text": str(n)} for n in range(30)},
    "vector": {"beat": {"numbers": [0.1, None, 0.3]}},
}


@pytest.mark.parametrize("inputs", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_with_any_input(inputs):
    one = {"truth": "cat", "predicted": "dog", "probability": 0.9, "inputs": inputs}
    figure = draw_mistakes([one, {"truth": 3.0, "predicted": [1.0] * 9, "error": 2.0, "inputs": inputs}])
    assert figure.axes[0].get_title() == "predicted dog (90%)\ntruth cat"
    assert figure.axes[1].get_title() == "predicted 1, 1, 1, 1 …\ntruth 3"
    assert drawn(figure).std() > 5


def test_mistakes_as_images(examples):
    inputs = {"image_bytes": {"image": examples("", "")["image_bytes"]}}
    figure = draw_mistakes([{"predicted": -250.0, "inputs": inputs}] * 20)
    assert figure.get_suptitle() == "16 test examples with the lowest value"
    assert [axes.get_title() for axes in figure.axes] == ["-250"] * 16
    assert drawn(figure).std() > 5


@pytest.mark.heavy
def test_reconstructions_of_images_and_of_vectors(examples):
    image = examples("", "")["image_bytes"]
    figure = reconstructions([{"image": image, "drawn": image}] * 3)
    assert len(figure.axes) == 6
    assert drawn(figure).std() > 5
    figure = reconstructions([{"numbers": [0.0, 1.0], "drawn": [0.0, 2.0]}] * 5)
    assert figure.axes[0].get_title() == "mean square error 0.5"
    assert drawn(figure).std() > 5


def test_metrics_are_those_that_make_a_chart_over_runs(result):
    found = flatten_metrics({**result, "cost": {"weights": 5}, "calibration": {"error": 0.02}})
    assert {"test/accuracy": 0.9, "test/loss": 0.3} == found
