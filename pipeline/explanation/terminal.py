"""Explanations in a terminal: coloured words of a text, bars of columns; lines with numbers where nobody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from pipeline.explanation.colours import LOWERS, RAISES, mixed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from pipeline.explanation.explained import Explained

BAR = 30
HEAD = 40  # characters of a text above its words
FAINT = 0.03  # of the largest: not coloured
DARK = 0.6  # from here on letters are white


def show(console: Console, label: str, row: Explained) -> None:
    """Prints one explained row under the label of its input."""
    short = f"{label[: HEAD - 1]}…" if row.words and len(label) > HEAD else label  # a text follows in full
    console.print(Text(f"{short}  {row.title}"), soft_wrap=True)
    if row.words and console.is_terminal:
        console.print(text(row))
        console.print(
            Text.assemble(("  raises  ", f"on {mixed(0.8)}"), " the score, ", ("  lowers  ", f"on {mixed(-0.8)}"))
        )
    elif row.words:
        for word, value in row.named():
            console.print(Text(f"{value:+.4f}  {word}"), soft_wrap=True)
    elif row.names:
        for line in bars(row):
            console.print(line, soft_wrap=True)


def text(row: Explained) -> Text:
    """The words of a text, the more coloured the more they count."""
    found = row.named()
    largest = max((abs(value) for _, value in found), default=0.0) or 1.0
    return Text(" ").join(Text(word, _style(value / largest)) for word, value in found)


def _style(share: float) -> str:
    if abs(share) < FAINT:
        return ""
    return f"{'white' if abs(share) > DARK else 'black'} on {mixed(share)}"


def bars(row: Explained) -> Iterator[Text]:
    """One line for each column, the one that counts most first."""
    found = sorted(row.named(), key=lambda pair: -abs(pair[1]))
    width = max((len(name) for name, _ in found), default=0)
    largest = max((abs(value) for _, value in found), default=0.0) or 1.0
    for name, value in found:
        bar = "█" * round(BAR * abs(value) / largest)
        yield Text.assemble(f"  {name:<{width}}  {value:+.4f}  ", (bar, RAISES if value > 0 else LOWERS))
