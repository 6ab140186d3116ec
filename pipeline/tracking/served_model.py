"""A published SavedModel behind MLflow's predict: the file that MLflow keeps beside the model and loads.

It stands alone, because it runs where this project is not installed.
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

        # Kept as a whole: a signature does not keep the model it came from.
        self.model = tf.saved_model.load(context.artifacts["saved_model"])
        self.call = self.model.signatures["serving_default"]

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG002
        """Answers a DataFrame or a dict with one entry per row for each input."""
        import tensorflow as tf

        specs = self.call.structured_input_signature[1]
        inputs = {
            name: tf.cast(value, spec.dtype) if value.dtype != spec.dtype else value
            for name, spec in specs.items()
            for value in [tf.convert_to_tensor(list(model_input[name]))]
        }
        return {name: output.numpy() for name, output in self.call(**inputs).items()}


set_model(ServedModel())
