"""MLflow's server, whose page chooses a run's charts: `keraspipe dashboard` starts it by its name, a plugin of MLflow.

MLflow keeps the charts of a run's page in the browser, and draws one for each metric: training and validation apart,
and a single bar for each number that is measured once. `charts.js` gives a run better ones when it is opened first.
Source: "mlflow.app" in https://mlflow.org/docs/latest/ml/plugins/.
"""

from pathlib import Path

from flask import Response, request
from mlflow.server import app as pages
from mlflow.server.fastapi_app import app

__all__ = ["app"]

SCRIPT = Path(__file__).with_name("charts.js").read_bytes()


@pages.before_request
def ask_for_the_whole_page() -> None:
    """Makes the browser's copy of MLflow's own page useless, which is of the same date."""
    if request.path == "/":
        request.environ.pop("HTTP_IF_NONE_MATCH", None)
        request.environ.pop("HTTP_IF_MODIFIED_SINCE", None)


@pages.after_request
def add_script(response: Response) -> Response:
    """Puts the script into MLflow's one page, before MLflow's own."""
    if request.path == "/" and response.mimetype == "text/html":
        response.direct_passthrough = False  # a file, which is read here
        response.set_data(response.get_data().replace(b"<head>", b"<head><script>" + SCRIPT + b"</script>", 1))
        response.headers.pop("ETag", None)  # of the file as it is
        response.headers.pop("Last-Modified", None)
    return response
