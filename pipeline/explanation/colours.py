"""The two colours of an explanation, which people who cannot tell red from green tell apart.

Source: M. Okabe, K. Ito, Color universal design, 2008: blue and vermilion.
"""

from __future__ import annotations

RAISES, LOWERS = "#0072b2", "#d55e00"


def mixed(share: float) -> str:
    """White at 0, blue at 1, vermilion at -1, as "#rrggbb"."""
    colour = RAISES if share > 0 else LOWERS
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (part - 255) * min(abs(share), 1.0)):02x}" for part in parts)
