#!/usr/bin/env python
"""Draws the map of the code, docs/map.svg: folders in their layers, and who imports whom.

    make map            draws it anew
    bin/map.py --check  fails where the drawn map is not that of the code

Layers come from the contracts of import-linter in pyproject.toml, arrows from the imports themselves. An arrow that
follows from others (a to b, b to c, hence a to c) is left out, as are those into the lowest layer, which all may
import.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
MAP = ROOT / "docs" / "map.svg"
WIDTH, ROW, BOX, GAP, MARGIN = 1180, 86, 34, 14, 20  # pixels
STYLE = (
    "text{font:13px sans-serif;fill:#1f2430}.head{font-weight:bold;font-size:15px}.count{fill:#6b7280;font-size:11px}"
    "rect{fill:#eef2fb;stroke:#5b74b8}.row{fill:#fafafa;stroke:none}path{fill:none;stroke:#8a93a6;marker-end:url(#tip)}"
)


@dataclass(frozen=True)
class Box:
    """A folder or a loose module on the map; x and y are the middle of its upper edge, in pixels."""

    name: str
    files: int
    x: float
    y: float
    width: float


def read_layers(package: str) -> list[list[str]]:
    """The layers of a package from the top down, as pyproject.toml declares them."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    contract = next(c for c in config["contracts"] if c["type"] == "layers" and c["containers"] == [package])
    return [[name.strip() for name in layer.replace("|", ":").split(":")] for layer in contract["layers"]]


def folder_imports(graph: grimp.ImportGraph, package: str, names: list[str]) -> dict[str, set[str]]:
    """{folder: the folders of the same package that it imports from}."""
    found = {}
    for name in names:
        whole = f"{package}.{name}"
        members = {whole, *graph.find_descendants(whole)}
        imported = {target for member in members for target in graph.find_modules_directly_imported_by(member)}
        parts = {target.split(".")[1] for target in imported if target.startswith(f"{package}.")}
        found[name] = (parts & set(names)) - {name}
    return found


def without_implied(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """The imports that do not follow from others (transitive reduction)."""

    def reach(name: str) -> set[str]:
        return imports[name].union(*(reach(other) for other in imports[name]))

    return {
        name: {target for target in targets if not any(target in reach(other) for other in targets - {target})}
        for name, targets in imports.items()
    }


def place_boxes(graph: grimp.ImportGraph, package: str, layers: list[list[str]], left: int, width: int) -> list[Box]:
    """A box for each folder: a row for each layer."""
    boxes = []
    for row, names in enumerate(layers):
        room = (width - GAP * (len(names) + 1)) / len(names)
        size = min(room, 150)
        step = (width - size * len(names)) / (len(names) + 1)
        for column, name in enumerate(names):
            files = sum(not graph.find_children(m) for m in graph.find_descendants(f"{package}.{name}")) or 1
            x = left + step * (column + 1) + size * (column + 0.5)
            boxes.append(Box(name, files, x, MARGIN + 30 + row * ROW, size))
    return boxes


def draw_package(graph: grimp.ImportGraph, package: str, left: int, width: int) -> list[str]:
    """The SVG of one package."""
    layers = read_layers(package)
    boxes = {box.name: box for box in place_boxes(graph, package, layers, left, width)}
    lowest = set(layers[-1])
    arrows = without_implied(folder_imports(graph, package, list(boxes)))
    lines = [f'<text class="head" x="{left + 4}" y="{MARGIN + 8}">{package}/</text>']
    lines += [
        f'<rect class="row" x="{left}" y="{MARGIN + 22 + row * ROW}" width="{width}" height="{BOX + 16}"/>'
        for row in range(len(layers))
    ]
    for name, targets in arrows.items():
        lines += [draw_arrow(boxes[name], boxes[target]) for target in sorted(targets - lowest)]
    for box in boxes.values():
        lines += draw_box(box)
    return lines


def draw_arrow(source: Box, target: Box) -> str:
    """A curve from the lower edge of one box to the upper edge of another."""
    down = source.y + BOX
    bend = (target.y - down) / 2
    return (
        f'<path d="M{source.x:.0f},{down:.0f} C{source.x:.0f},{down + bend:.0f} '
        f'{target.x:.0f},{target.y - bend:.0f} {target.x:.0f},{target.y - 3:.0f}"/>'
    )


def draw_box(box: Box) -> list[str]:
    """A box with its name and how many files it holds."""
    return [
        f'<rect x="{box.x - box.width / 2:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{BOX}" rx="5"/>',
        f'<text text-anchor="middle" x="{box.x:.0f}" y="{box.y + 15:.0f}">{box.name}</text>',
        f'<text class="count" text-anchor="middle" x="{box.x:.0f}" y="{box.y + 28:.0f}">{box.files}</text>',
    ]


def draw_map() -> str:
    """The whole map as SVG."""
    sys.path.insert(0, str(ROOT))  # the script lies in bin/
    graph = grimp.build_graph("pipeline", "serving", cache_dir=None)
    rows = max(len(read_layers(package)) for package in ("pipeline", "serving"))
    height = MARGIN * 2 + 30 + rows * ROW
    half = int((WIDTH - 3 * MARGIN) * 0.6)
    body = draw_package(graph, "pipeline", MARGIN, half)
    body += draw_package(graph, "serving", 2 * MARGIN + half, WIDTH - 3 * MARGIN - half)
    tip = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" style="fill:#8a93a6;stroke:none"/></marker></defs>'
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">'
    back = f'<rect class="row" style="fill:white" width="{WIDTH}" height="{height}"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", tip, back, *body, "</svg>\n"])


def main() -> int:
    """Draws the map, or checks that it is drawn; returns 1 where it is not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="draw nothing; fail where the map is out of date")
    options = parser.parse_args()
    text = draw_map()
    if options.check and (not MAP.exists() or MAP.read_text() != text):
        print(f"{MAP.relative_to(ROOT)} is not the map of the code. Next: make map", file=sys.stderr)
        return 1
    if not options.check:
        MAP.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
