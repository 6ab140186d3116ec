"""FastAPI under uvicorn, with uvloop and httptools, on the same callable.

    python -m benchmarks.serving.fastapi_server MODEL_FOLDER PORT

The handler is what makes FastAPI fast here: no model of pydantic, no thread per request.
"""

from __future__ import annotations

import base64
import sys
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from benchmarks.serving.session import Session, rows


def application(session: Session) -> FastAPI:
    """One route, `POST /predict`, with the body of TensorFlow Serving's row format."""
    app = FastAPI()

    async def predict(request: Request) -> JSONResponse:
        body = await request.json()
        values = [_value(item) for item in body["instances"]]
        return JSONResponse({"predictions": rows(session(np.array(values, session.dtype)))})

    # FastAPI resolves the annotations in the module's namespace.
    app.add_api_route("/predict", predict, methods=["POST"], response_model=None)
    return app


def _value(item: Any) -> Any:
    return base64.b64decode(item["b64"]) if isinstance(item, dict) else item


def main() -> None:
    """Serves until it is stopped."""
    app = application(Session(sys.argv[1]))
    uvicorn.run(app, port=int(sys.argv[2]), loop="uvloop", http="httptools", access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
