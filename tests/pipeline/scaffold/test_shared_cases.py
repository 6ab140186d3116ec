"""Every file of the folder of odd tables: a plan as its README says is right, or an error that says the way out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest

from pipeline.errors import PipelineError
from pipeline.scaffold import inspect, render
from pipeline.settings import ROOT

FOLDER = ROOT.parent / "shared" / "cases" / "tables"
NUMBER, TRUTH = "number: scaled", "boolean: true 1, false 0"
INDEX = "left out: numbers or names the rows"


@dataclass(frozen=True)
class Case:
    """What is right for a file.

    Attributes:
        target: Value of --target.
        template: Of the recipe; empty where the file is refused.
        words: What the notes say, or the error, each a part.
        uses: What columns are used as, or why they are left out.
        classes: Of the target.
    """

    target: str = ""
    template: str = "table"
    words: tuple[str, ...] = ()
    uses: dict[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


CASES = {
    "array.json": Case(uses={"a": NUMBER, "b": NUMBER}, classes=("no", "yes")),
    "boolcol_lower.csv": Case(uses={"a": NUMBER, "flag": TRUTH}, classes=("no", "yes")),
    "booleans.csv": Case(
        words=("Only 8 different rows: equal ones are on one side of the split",),
        uses={"b1": NUMBER, "b2": "left out: says the same as b1", "b4": TRUTH},
        classes=("False", "True"),
    ),
    "business_days.csv": Case(template="series", words=("business day",)),
    "classcol.csv": Case("outcome", uses={"class": NUMBER, "b": NUMBER}, classes=("no", "yes")),
    "decimal_comma_few.csv": Case(words=("Decimals begin with a comma",), classes=("no", "yes")),
    "dupes_case.csv": Case(uses={"A": NUMBER, "a": NUMBER}, classes=("no", "yes")),
    "extra_latin1.csv": Case("comment", "", ("line 5 is not UTF-8", "--encoding cp1252", "Köln")),
    "hive": Case(uses={"site": "category: embedding"}),
    "iris_shuffled_noise.parquet": Case(uses={"noise": NUMBER, "__index_level_0__": INDEX}, classes=("0", "1", "2")),
    "leak_copy.csv": Case("price", uses={"x": NUMBER, "price_eur": "left out: a copy of price"}),
    "mixed_label.csv": Case(words=("Spellings of one class",), classes=("0", "1")),
    "one_bad.csv": Case(uses={"a": f"{NUMBER}; not read, so missing: 'n/a'", "b": NUMBER}),
    "pandas_index.csv": Case(uses={"(no name)": INDEX, "a": NUMBER, "b": NUMBER}, classes=("no", "yes")),
    "ser_dst_offset.csv": Case(template="series", words=("hour",)),
    "several_series.csv": Case("sales", "series", ("store names 3 series",), {"store": "names the series"}),
    "tgt_1e-5.csv": Case(words=("target is the target: regression",), uses={"a": NUMBER, "b": NUMBER}),
    "title_lines.csv": Case(words=("Line 3 is the header; the title above it is passed over.",)),
}


def files() -> list[str]:
    """All that the folder holds, and what is known of it."""
    return sorted({*CASES, *(path.name for path in FOLDER.glob("*"))})


def plan(name: str, case: Case) -> render.Plan | PipelineError:
    """The plan, or the error."""
    try:
        return inspect.make_plan(FOLDER / name, case.target, "")
    except PipelineError as error:
        return error


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"there is no folder {FOLDER}")
@pytest.mark.parametrize("name", files())
def test_each_file_is_planned_as_is_right_or_refused_with_the_way_out(name):
    case = CASES.get(name)
    found = plan(name, case or Case())
    if isinstance(found, PipelineError):
        assert re.search(r"\nExpected: .+\nReceived: .+\nNext: .+", str(found))
        said = str(found)
    else:
        assert render.render_recipe(found, "mine")
        said = "\n".join(found.notes)
        uses = {row[0]: row[-1] for row in found.rows}
    if case:
        assert case.template == getattr(found, "template", "")
        assert [] == [word for word in case.words if word not in said]
        if case.template:
            assert case.uses == {name: uses[name] for name in case.uses}
            assert case.classes in ((), tuple(found.facts["classes"]))
