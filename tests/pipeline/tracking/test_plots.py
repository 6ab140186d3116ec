import base64
import io
import math

import numpy as np
import pytest
from PIL import Image, ImageColor

from pipeline.plots.curves import learning_curves
from pipeline.plots.errors import confusion
from pipeline.plots.examples import (
    CAPTION_HEIGHT,
    CELL_HEIGHT,
    CELL_WIDTH,
    IMAGE_SIDE,
    RIGHT_COLOUR,
    TITLE_HEIGHT,
    WRONG_COLOUR,
    caption,
    samples,
)


def drawn(figure) -> np.ndarray:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer).convert("L"))


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_confusion_counts_and_names():
    figure = confusion([[9, 1], [0, 10]], ["cat", "dog"])
    axes = figure.axes[0]
    assert len(figure.axes) == 2
    assert texts(axes) == ["9", "1", "10"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "truth")
    assert "1 of 20" in axes.get_title()
    assert drawn(figure).std() > 10


@pytest.mark.parametrize("count", [1, 21, 200])
def test_confusion_of_any_size(count):
    figure = confusion(np.eye(count, dtype=int).tolist(), [])
    assert (count <= 20) == bool(texts(figure.axes[0]))
    assert max(drawn(figure).shape) < 2000


def test_curves_have_a_panel_per_metric_and_mark_the_best_epoch(history):
    figure = learning_curves(history, "underfitting")
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy", "learning rate"]
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["training", "validation", "best epoch: 2"]
    assert drawn(figure).std() > 10


def test_curves_of_one_epoch_and_of_none_that_is_finite():
    assert len(learning_curves({"loss": [1.0]}).axes) == 1
    assert drawn(learning_curves({"loss": [math.nan], "val_loss": [math.nan]})).std() > 1


def test_curves_without_history_are_still_a_picture():
    assert drawn(learning_curves({})).size


def test_samples_say_what_was_answered_and_mark_errors_by_a_word(examples):
    right, wrong = caption(examples("1", "1")), caption(examples("1", "7"))
    assert right == "predicted 1 (80%)\ntruth 1"
    assert wrong == "WRONG\npredicted 7 (80%)\ntruth 1"


def test_samples_mark_errors_by_colour(examples):
    sheet = np.asarray(samples([examples("1", "1"), examples("cat", "dog", "RGB")]))
    green, red = (
        np.all(sheet == np.array(ImageColor.getrgb(colour)), axis=2) for colour in (RIGHT_COLOUR, WRONG_COLOUR)
    )
    middle = CELL_WIDTH
    assert green[:, :middle].any()
    assert red[:, middle:].any()
    assert not red[:, :middle].any()
    assert not green[:, middle:].any()


def test_samples_show_the_image_itself(examples):
    example = examples("1", "1")
    sheet = np.asarray(samples([example]).convert("L"))
    image = Image.open(io.BytesIO(base64.b64decode(example["image_bytes"]))).convert("L")
    scaled = np.asarray(image.resize((IMAGE_SIDE, IMAGE_SIDE), Image.Resampling.NEAREST))
    top, left = (sheet.shape[0] - CELL_HEIGHT // 2 - IMAGE_SIDE // 2, CELL_WIDTH // 2 - IMAGE_SIDE // 2)
    np.testing.assert_array_equal(
        sheet[top : top + IMAGE_SIDE, left : left + IMAGE_SIDE][2:-2, 2:-2], scaled[2:-2, 2:-2]
    )


def test_samples_of_a_generative_model_stand_alone(examples):
    bare = {"image_bytes": examples("", "")["image_bytes"]}
    assert samples([bare] * 40).size == (8 * CELL_WIDTH, TITLE_HEIGHT + 5 * CELL_HEIGHT)


def test_samples_show_no_more_than_fit(examples):
    assert samples([examples("1", "1")] * 120).size == (
        8 * CELL_WIDTH,
        TITLE_HEIGHT + 12 * (CELL_HEIGHT + CAPTION_HEIGHT),
    )
