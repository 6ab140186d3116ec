"""PromQL expressions, as far as the tests need to know them."""

import re

_STRING = re.compile(r"""("[^"]*"|'[^']*')""")
_LABELS = re.compile(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = re.compile(r"(?<![\w:.])([a-zA-Z_:][\w:]*)(?!\s*\(|[\w:])")
_WORDS = {"and", "or", "unless", "bool", "offset"}


def metrics(expression: str) -> set[str]:
    """Names of the metrics in an expression; `up` and `ALERTS` are Prometheus' own and left out."""
    plain = _LABELS.sub(" ", _STRING.sub("", expression))
    return set(_NAME.findall(plain)) - _WORDS - {"up", "ALERTS"}
