"""MLServer's runtime around the same callable, with MLServer's codec."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.serving.session import Session


class Runtime(MLModel):  # type: ignore[misc]
    """Answers V2 inference requests with one input; `parameters.uri` is the SavedModel's folder."""

    async def load(self) -> bool:
        """Load the SavedModel."""
        self._session_ = Session(self.settings.parameters.uri)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """One call of the session."""
        outputs = self._session_(_decoded(payload.inputs[0]))
        encoded = [NumpyCodec.encode_output(name, _texts(array)) for name, array in outputs.items()]
        return InferenceResponse(model_name=self.name, outputs=encoded)


def _decoded(tensor: Any) -> np.ndarray:
    if tensor.datatype == "BYTES":  # JSON carries them as base64
        return np.array([base64.b64decode(item) for item in tensor.data], dtype=object)
    return NumpyCodec.decode_input(tensor)


def _texts(array: np.ndarray) -> np.ndarray:
    return array.astype(str) if array.dtype == object else array
