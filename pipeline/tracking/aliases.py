"""Which version is live, as MLflow's aliases tell it."""

from __future__ import annotations

from pipeline.tracking import environment
from pipeline.tracking.destination import Destination
from pipeline.tracking.errors import Unreachable
from pipeline.tracking.registration import VERSION_TAG

CHAMPION = "champion"

# An answer takes milliseconds; without one the run goes on by the workspace's own record.
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "4"}


def champion(uri: str, name: str) -> int | None:
    """The number under which the champion of a recipe is served; None while there is no champion.

    Importing MLflow makes the first call take seconds, so ask only where a server may know better than we do.

    Raises:
        Unreachable: The server does not answer within about five seconds, or refuses.
    """
    with environment.during(**environment.QUIET, **IMPATIENT):
        tags = _tags(Destination(uri), name)
    return int(tags[VERSION_TAG]) if VERSION_TAG in tags else None


def _tags(destination: Destination, name: str) -> dict[str, str]:
    """The tags of the champion's version; empty if there is none."""
    try:
        destination.connect()
        return dict(destination.client.get_model_version_by_alias(name, CHAMPION).tags)
    except Exception as error:
        if _absent(error):
            return {}
        raise Unreachable.because(destination.uri, error) from error


def _absent(error: Exception) -> bool:
    # MLflow says INVALID_PARAMETER_VALUE of an alias that does not exist.
    absent = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
    return getattr(error, "error_code", "") in absent
