"""Errors in the user's own code name its line."""

from __future__ import annotations

import json

import pytest

from pipeline.errors import PipelineError, describe_cause
from pipeline.recipes import catalog

FAILING = """

def build(p, spec):
    import json

    return json.loads("{")


"""


def cause(call, *arguments):
    with pytest.raises(Exception) as caught:  # noqa: PT011  (any)
        call(*arguments)
    return describe_cause(caught.value)


def test_the_line_is_that_of_the_users_code_not_of_the_library_that_it_calls(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(FAILING)
    module = {}
    exec(compile(FAILING, str(path), "exec"), module)
    text = cause(module["build"], None, None)
    assert text.startswith("JSONDecodeError: ")
    assert text.endswith(f"({path} line 6)")


def test_an_error_of_a_library_alone_has_no_line():
    error = json.JSONDecodeError("bad", "{", 0)
    assert f"JSONDecodeError: {error}" == describe_cause(error)


@pytest.mark.parametrize("call", ["sys.exit(3)", "exit()", "raise SystemExit"])
def test_a_recipe_that_ends_the_process_on_import_is_an_error(tmp_path, call):
    path = tmp_path / "ends.py"
    path.write_text(f"import sys\n\n{call}\nRECIPE = 1\n")
    with pytest.raises(PipelineError, match="fails on import") as caught:
        catalog.load_recipe(path)
    assert "Received: SystemExit" in str(caught.value)
    assert f"({path} line 3)" in str(caught.value)
