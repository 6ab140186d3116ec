"""What the process has ready from which tests fork commands: TFX, and keraspipe's own code as its digests read it."""

import dataclasses
import sys
from pathlib import Path

import pipeline.commands.predict
import pipeline.runner.local  # noqa: F401
from pipeline.recipes import catalog, fingerprint
from pipeline.runner.digests import StepDigests

sys.path.remove(str(Path(__file__).parent))  # only this file was imported from there
_RECIPE = catalog.read_recipe(Path(__file__).resolve().parents[1] / "models" / "digits.py")
fingerprint.run_digest(_RECIPE, "pipeline.runner.local")
for _step in {field.name for field in dataclasses.fields(StepDigests)}:
    fingerprint.code_digest(_RECIPE, _step)
