"""A bare ASGI application under uvicorn: reads the body, answers the same bytes every time.

    python -m benchmarks.serving.echo_server ANSWER_FILE PORT

No JSON, no model: what uvicorn itself leaves of the machine.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import uvicorn


def application(answer: bytes) -> Any:
    """An application of one answer."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ARG001 - ASGI's signature
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    return app


def main() -> None:
    """Serves until it is stopped."""
    app = application(Path(sys.argv[1]).read_bytes())
    uvicorn.run(
        app,
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        lifespan="off",
    )


if __name__ == "__main__":
    main()
