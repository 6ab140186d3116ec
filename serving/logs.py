"""The server's log on stderr."""

from __future__ import annotations

import logging


def log_to_stderr() -> None:
    """One line per event with its time; from libraries only warnings."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    logging.getLogger("keraspipe").setLevel(logging.INFO)
