"""Draws benchmarks/results/scale.json as SVG: one small picture a curve, sizes in powers of ten.

python -m benchmarks.scale.plot [scale.json [scale.svg]]
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

__all__ = ["drawing"]

COLUMNS: Final = 3
WIDTH, HEIGHT = 320, 220
LEFT, RIGHT, TOP, BOTTOM = 58, 30, 38, 40
COLOURS: Final = ("#8a8f98", "#0b6bcb", "#c2410c", "#15803d")
STYLE: Final = (
    "text{font:11px system-ui,sans-serif;fill:#3b4048}"
    ".title{font-weight:600;font-size:12px;fill:#14171c}"
    "line{stroke:#e4e7eb}polyline{fill:none;stroke-width:2;stroke-linejoin:round}"
)


def drawing(result: dict[str, Any]) -> str:
    """The whole sheet."""
    pictures = result["charts"]
    rows = math.ceil(len(pictures) / COLUMNS)
    width, height = COLUMNS * WIDTH, rows * HEIGHT + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, picture in enumerate(pictures):
        down, right = divmod(number, COLUMNS)
        parts.append(f'<g transform="translate({right * WIDTH} {down * HEIGHT})">')
        parts += _picture(picture)
        parts.append("</g>")
    parts.append(_text(LEFT, height - 8, result["about"]))
    return "\n".join([*parts, "</svg>", ""])


def _picture(picture: dict[str, Any]) -> Iterator[str]:
    lines: dict[str, list[list[float]]] = picture["lines"]
    points = [point for line in lines.values() for point in line]
    low, high = (math.log10(pick(x for x, _ in points)) for pick in (min, max))
    least, most = (pick(y for _, y in points) for pick in (min, max))
    tall = most > 50 * least > 0
    """What spans so much is drawn in powers of ten on both sides."""
    top = math.ceil(math.log10(most)) if tall else _round_up(most)
    bottom = math.floor(math.log10(least)) if tall else 0.0

    def across(x: float) -> float:
        return LEFT + (math.log10(x) - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        share = ((math.log10(y) if tall else y) - bottom) / (top - bottom)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    yield _text(LEFT, 18, f"{picture['title']}, {picture['y']}", "title")
    steps = (
        [10.0**power for power in range(int(bottom), int(top) + 1)]
        if tall
        else [top * part / 4 for part in range(5)]
    )
    for step in steps:
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up(step):.1f}" y2="{up(step):.1f}"/>'
        yield _text(LEFT - 6, up(step) + 4, f"{step:,g}", anchor="end")
    for power in range(math.ceil(low), math.floor(high) + 1):
        yield _text(across(10**power), HEIGHT - BOTTOM + 16, f"{10**power:,}", anchor="middle")
    yield _text(WIDTH - RIGHT, HEIGHT - BOTTOM + 30, picture["x"], anchor="end")
    for number, ((name, line), colour) in enumerate(zip(lines.items(), COLOURS, strict=False)):
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in line)
        yield f'<polyline points="{path}" stroke="{colour}"/>'
        for x, y in line:
            yield f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="2.5" fill="{colour}"/>'
        yield f'<circle cx="{LEFT + 4 + 100 * number}" cy="30" r="3.5" fill="{colour}"/>'
        yield _text(LEFT + 12 + 100 * number, 34, name)


def _round_up(value: float) -> float:
    """To one, two or four of some power of ten, so that a quarter of it reads well."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value)


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    named = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(text)}</text>'


if __name__ == "__main__":
    here = Path(__file__).parents[1] / "results"
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else here / "scale.json"
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else source.with_suffix(".svg")
    target.write_text(drawing(json.loads(source.read_text())))
