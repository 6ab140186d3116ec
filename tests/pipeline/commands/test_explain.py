"""How an explanation is shown: words, bars, pictures."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from pipeline.commands import explain
from pipeline.errors import UsageError
from pipeline.reports import explanation
from pipeline.reports.explanation import LOWERS, RAISES, mix_colours

SCORES = {"score": np.array([0.9]), "baseline_score": np.array([0.4]), "completeness_gap": np.array([0.0])}


def one(features=None, **answer):
    (row,) = explanation.read_rows({**SCORES, **answer}, features or {})
    return row


def printed(row, **options):
    out = io.StringIO()
    explanation.print_row(Console(file=out, width=100, **options), "input", row)
    return out.getvalue()


TEXT = {
    "label": np.array([b"pos"], object),
    "tokens": np.array([[b"not", b"[bad]", b""]], object),
    "attributions": np.array([[-0.1, 0.6, 0.0]]),
}
TABLE = {"columns": np.array([[b"age", b"sex", b"fare"]], object), "attributions": np.array([[0.1, -0.5, 0.9]])}


def test_words_with_numbers_where_nobody_looks():
    expected = "input  label pos  score 0.9000, 0.4000 on zeros\n-0.1000  not\n+0.6000  [bad]\n"
    assert expected == printed(one(**TEXT))


def test_a_long_text_is_named_by_its_beginning():
    out = io.StringIO()
    explanation.print_row(Console(file=out, width=200), "not [bad] " * 9, one(**TEXT))
    assert "not [bad] not [bad] not [bad] not [bad]…  label pos" in out.getvalue()


def test_coloured_words_on_a_terminal():
    out = printed(one(**TEXT), force_terminal=True, color_system="truecolor")
    assert "\x1b[37;48;2;0;114;178m[bad]\x1b[0m" in out
    assert "not" in out
    assert "+0.6000" not in out


def test_columns_with_the_one_that_counts_most_first():
    lines = printed(one(**TABLE)).splitlines()
    assert "input  score 0.9000, 0.4000 on zeros" == lines[0]
    assert ["fare", "+0.9000", "█" * 30] == lines[1].split()
    assert ["sex", "-0.5000", "█" * 17] == lines[2].split()
    assert ["age", "+0.1000", "█" * 3] == lines[3].split()


def test_a_sum_that_misses_something_says_so():
    row = one(**{**TABLE, "completeness_gap": np.array([-0.02])})
    assert "score 0.9000, 0.4000 on zeros, -0.02 missing in the sum" == row.title


def test_nothing_counts():
    row = one(tokens=TEXT["tokens"], attributions=np.zeros((1, 3)))
    assert "not [bad]" == explanation.colour_words(row).plain


def test_colours():
    assert ["#ffffff", RAISES, LOWERS, RAISES] == [
        mix_colours(0.0),
        mix_colours(1.0),
        mix_colours(-1.0),
        mix_colours(7.0),
    ]


@pytest.mark.parametrize(
    ("shape", "parts"),
    [((8, 8, 1), ("",)), ((8, 6, 3), ("",)), ((8, 6), ("",)), ((40,), ("",)), ((8, 8, 1), ("left", "right"))],
    ids=["grey", "rgb", "matrix", "curve", "two"],
)
@pytest.mark.parametrize("seen", [True, False])
def test_pictures(tmp_path, shape, parts, seen):
    drawn = np.random.default_rng(3).normal(size=(1, *shape))
    answer = {f"attributions_{part}".rstrip("_"): drawn for part in parts}
    row = one({part or "feature": drawn * 3 for part in parts} if seen else {}, **answer)
    explanation.write_picture(row, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert ("PNG", 1020) == (image.format, image.size[0])
    assert ["a.png"] == [path.name for path in tmp_path.iterdir()]


def test_an_image_that_did_not_count_is_drawn(tmp_path):
    explanation.write_picture(
        one({"image": np.zeros((1, 4, 4, 1))}, attributions=np.zeros((1, 4, 4, 1))), tmp_path / "a.png"
    )
    assert (tmp_path / "a.png").is_file()


def test_pictures_lie_next_to_their_inputs(tmp_path):
    source = tmp_path / "a=b.png"
    source.touch()
    options = SimpleNamespace(name="digits", out=None)
    assert tmp_path / "a=b.explained.png" == explain._path(options, str(source), 0)
    assert tmp_path / "a=b.explained.png" == explain._path(options, f"image_bytes={source}", 0)
    assert "digits-2.explained.png" == str(explain._path(options, "[1, 2]", 1))
    options.out = tmp_path / "c.png"
    assert ["c.png", "c-2.png"] == [explain._path(options, str(source), place).name for place in (0, 1)]


def test_a_picture_in_a_folder_that_is_not_there(tmp_path):
    options = SimpleNamespace(name="digits", out=tmp_path / "absent" / "a.png", inputs=[], json=False)
    with pytest.raises(UsageError, match="Expected: --out in a folder that exists"):
        explain.command(options, None)
