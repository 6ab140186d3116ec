"""What a recipe reached, read from its docstring and written into it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.recipes import catalog, recorded_result
from pipeline.recipes.recorded_result import RecordedResult
from pipeline.settings import ROOT

SOURCE = catalog.read_recipe(ROOT / "models" / "xor.py")


def edited(path, text):
    path.write_text(text)
    return catalog.read_recipe(path)


@pytest.mark.heavy
@given(
    st.from_regex(r"[a-z_]{1,12}", fullmatch=True),
    st.floats(-1000, 1000).map(lambda value: float(f"{value:.4g}")),
    st.floats(0.1, 999).map(lambda value: round(value, 1)),
    st.integers(0, 10**9),
    st.from_regex(r"[0-9a-f]{12}", fullmatch=True),
)
def test_record_is_read_back(tmp_path_factory, metric, value, minutes, weights, digest):
    record = RecordedResult(metric, value, minutes, "2 cores", weights, digest)
    path = tmp_path_factory.mktemp("reached") / "xor.py"
    written = edited(path, recorded_result.replace_result(SOURCE, record))
    if "e" not in f"{value:.4g}":  # no metric is that small
        assert record == recorded_result.read_result(written.heading)
    assert recorded_result.recorded_digest(SOURCE) == recorded_result.recorded_digest(written)
    assert len(SOURCE.text.splitlines()) == len(written.text.splitlines())


def test_recipe_without_a_real_run(tmp_path):
    text = re.sub(r"^Reaches: .*$", f"Reaches: {recorded_result.NOT_MEASURED}", SOURCE.text, flags=re.MULTILINE)
    assert recorded_result.read_result(edited(tmp_path / "xor.py", text).heading) is None


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('"""', '"""Other words. ', True),
        ("\nRECIPE", "\n# a remark\nRECIPE", True),
        ("epochs: Annotated[int", "epochs: Annotated[float", True),
        ("return", "1 + 1\n    return", False),
    ],
)
def test_digest_is_of_code_and_defaults(tmp_path, old, new, same):
    assert old in SOURCE.text
    written = edited(tmp_path / "xor.py", SOURCE.text.replace(old, new, 1))
    assert same is (recorded_result.recorded_digest(SOURCE) == recorded_result.recorded_digest(written))


def test_digest_leaves_out_where_a_module_of_the_project_lies(tmp_path):
    text = SOURCE.text.replace("from pipeline.training.optimizers import", "from pipeline.settings import")
    assert text != SOURCE.text
    assert recorded_result.recorded_digest(SOURCE) == recorded_result.recorded_digest(edited(tmp_path / "xor.py", text))


def test_digest_sees_which_name_is_imported(tmp_path):
    text = SOURCE.text.replace("from pipeline.datasets.xor import XOR", "from pipeline.datasets.xor import Xor as XOR")
    assert text != SOURCE.text
    assert recorded_result.recorded_digest(SOURCE) != recorded_result.recorded_digest(edited(tmp_path / "xor.py", text))


def test_digest_sees_a_default(tmp_path):
    text = re.sub(r"(batch_size: .* = )(\d+)", r"\g<1>7", SOURCE.text, count=1)
    assert text != SOURCE.text
    assert recorded_result.recorded_digest(SOURCE) != recorded_result.recorded_digest(edited(tmp_path / "xor.py", text))
