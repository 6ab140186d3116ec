"""The README's table of the catalogue is what the recipes say."""

from __future__ import annotations

from benchmarks import catalogue
from benchmarks.measure import ROOT
from pipeline.recipes.catalog import recipe_paths
from pipeline.settings import Settings


def test_readme_has_the_catalogue_as_it_is():
    readme = (ROOT / "README.md").read_text()
    assert catalogue.with_table(readme) == readme, "write it anew: python -m benchmarks.catalogue --table"
    for name in recipe_paths(Settings()):
        assert f"| [{name}](models/{name}.py) | " in readme
