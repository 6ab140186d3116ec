"""The published `digits` explains its answers, with the same numbers wherever it is asked."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.xdist_group("digits")

SURE = 0.1


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Scans of ten digits."""
    from pathlib import Path

    from pipeline.datasets.digits import Digits

    folder = tmp_path_factory.mktemp("digits")
    paths = [folder / f"{i}.png" for i in range(10)]
    for path, example in zip(paths, Digits().examples(Path()), strict=False):
        path.write_bytes(example.features["image_bytes"])
    return paths


@pytest.fixture(scope="module")
def local(digits, images):
    answer = digits.keraspipe("explain", "digits", *images, "--json")
    assert 0 == answer.code, answer.err
    return answer.json["explanations"]


def test_attributions_add_up_to_the_change_of_the_output(local):
    for row in local:
        change = row["score"] - row["baseline_score"]
        assert change == pytest.approx(np.sum(row["attributions"]), rel=0.01, abs=1e-5)
        assert row["completeness_gap"] == pytest.approx(np.sum(row["attributions"]) - change, abs=1e-5)


def test_what_is_explained_is_what_predict_answers(digits, images, local):
    predicted = digits.keraspipe("predict", "digits", *images, "--json").json["predictions"]
    assert [row["label"] for row in predicted] == [row["label"] for row in local]
    np.testing.assert_allclose([max(row["probabilities"]) for row in predicted], [r["score"] for r in local], atol=1e-5)


def test_the_pixels_of_the_digit_count_and_black_ones_do_not(images, local):
    for path, row in zip(images, local, strict=True):
        black = np.asarray(Image.open(path)) == 0
        found = np.array(row["attributions"])[..., 0]
        assert np.all(found[black] == 0)
        if row["score"] - row["baseline_score"] > SURE:  # black itself may be sure of a one
            assert found[~black].sum() > SURE / 2


def test_rest_and_grpc_give_the_same_numbers(digits, images, local, run_server):
    with run_server(digits.workspace / "serving") as server:
        rest = digits.keraspipe("explain", "digits", *images, "--json", "--url", server.rest)
        rpc = digits.keraspipe("explain", "digits", *images, "--json", "--grpc", server.grpc)
    assert local == rpc.json["explanations"]
    for expected, found in zip(local, rest.json["explanations"], strict=True):
        assert expected["label"] == found["label"]
        for name in ("score", "baseline_score", "attributions"):
            np.testing.assert_allclose(expected[name], found[name], rtol=1e-6, atol=1e-7)


def test_the_heat_map_lies_next_to_the_image(digits, digit_image, tmp_path):
    image = tmp_path / "zero.png"
    shutil.copyfile(digit_image, image)
    answer = digits.keraspipe("explain", "digits", image)
    assert 0 == answer.code, answer.err
    assert f"Drawn: {tmp_path / 'zero.explained.png'}" in answer.out
    with Image.open(tmp_path / "zero.explained.png") as drawn:
        assert drawn.size[0] > 800
