"""A published SavedModel behind MLflow's `predict`: MLflow stores this file with the model and loads it.

It imports nothing of this project, because it also runs where the project is not installed.
"""

from __future__ import annotations

from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class ServedModel(PythonModel):  # type: ignore[misc]
    """Answers as TensorFlow Serving does: the inputs of `serving_default` in, its outputs out."""

    # The model comes with a signature; MLflow would warn at every load that type hints give none.
    _skip_type_hint_validation = True

    def load_context(self, context: Any) -> None:
        """Loads the model from the artifacts."""
        import tensorflow as tf

        # The whole model is stored: a signature alone does not keep its model alive.
        self.model = tf.saved_model.load(context.artifacts["saved_model"])
        self.call = self.model.signatures["serving_default"]

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG002
        """Predicts for a DataFrame, or for a dict with one entry per row for each input."""
        import tensorflow as tf

        specs = self.call.structured_input_signature[1]
        inputs = {
            name: tf.cast(value, spec.dtype) if value.dtype != spec.dtype else value
            for name, spec in specs.items()
            for value in [tf.convert_to_tensor(list(model_input[name]))]
        }
        return {name: output.numpy() for name, output in self.call(**inputs).items()}


set_model(ServedModel())
