"""The verdict of the gate as a ModelBlessing, the artifact in ML Metadata that allows to publish a model.

A model is blessed if it has passed the gate. Source of the file and the custom properties:
`tfx.components.evaluator.constants` and `.executor`; ours are added to them. TFX is not imported here, which takes
seconds: `keraspipe lineage` reads the same properties.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Mapping

BLESSING_TYPE = "ModelBlessing"
BLESSING_FILES = {True: "BLESSED", False: "NOT_BLESSED"}
BLESSED = "blessed"
MODEL, MODEL_ID = "current_model", "current_model_id"
BASELINE, BASELINE_ID = "baseline_model", "baseline_model_id"
REASONS, CONDITIONS = "reasons", "conditions"  # lists of sentences as JSON: missed conditions, and all conditions
BASELINE_VERSION, BASELINE_DIGEST = "baseline_version", "baseline_digest"
# The step `resolve` writes these to the artifact of the champion (the live model).
CHAMPION_VERSION, CHAMPION_DIGEST = "champion_version", "champion_digest"


def bless(blessing: Any, gate: Mapping[str, Any], model: Any, baseline: Any) -> None:
    """Writes a verdict into an artifact, as TFX's Evaluator does.

    Args:
        blessing: TFX's artifact, to which a file BLESSED or NOT_BLESSED and the custom properties are added.
        gate: The verdict: {"blessed", "reasons", "conditions"}.
        model: The candidate's artifact.
        baseline: The champion's artifact; empty if there is none.
    """
    folder = Path(blessing.uri)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BLESSING_FILES[gate["blessed"]]).write_text("")
    blessing.set_int_custom_property(BLESSED, int(gate["blessed"]))
    blessing.set_string_custom_property(REASONS, json.dumps(gate["reasons"]))
    blessing.set_string_custom_property(
        CONDITIONS, json.dumps([condition["words"] for condition in gate["conditions"]])
    )
    blessing.set_string_custom_property(MODEL, model.uri)
    blessing.set_int_custom_property(MODEL_ID, model.id)
    if digest := baseline.get_string_custom_property(CHAMPION_DIGEST):
        blessing.set_string_custom_property(BASELINE, baseline.uri)
        blessing.set_int_custom_property(BASELINE_ID, baseline.id)
        blessing.set_string_custom_property(BASELINE_DIGEST, digest)
        blessing.set_int_custom_property(BASELINE_VERSION, baseline.get_int_custom_property(CHAMPION_VERSION))


def require_blessing(blessing: Any) -> None:
    """Raises a PipelineError if a model is not blessed; TFX's Pusher does not push it either."""
    if blessing.get_int_custom_property(BLESSED) != 1:
        reasons = json.loads(blessing.get_string_custom_property(REASONS) or "[]")
        raise PipelineError(
            "The model is not blessed, so it is neither registered nor published.",
            expected=f"a {BLESSING_TYPE} with {BLESSED} = 1, from the step gate",
            received="; ".join(reasons) or "no verdict",
            action="see the reasons with: keraspipe runs RUN; then change the recipe or its gate",
        )
