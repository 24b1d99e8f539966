"""A few words for building SVG as an element tree, so that nothing is ever escaped by hand."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Point = tuple[float, float]

CHARACTER_WIDTH_PX = 7.3
"""Width to reserve for a character at the figures' 12 px: that of a wide sans serif."""


def canvas(width: float, height: float, description: str) -> ET.Element:
    """Returns an empty drawing of this natural size (px) that scales with its container."""
    root = ET.Element(
        "svg",
        {
            "viewBox": f"0 0 {_number(width)} {_number(height)}",
            "width": _number(width),
            "height": _number(height),
            "role": "img",
        },
    )
    add(root, "title", description)
    return root


def add(
    parent: ET.Element, tag: str, text: str | None = None, **attributes: str | float
) -> ET.Element:
    """Appends a child and returns it; `class_` is written `class`, `text_anchor` `text-anchor`."""
    child = ET.SubElement(
        parent,
        tag,
        {
            name.rstrip("_").replace("_", "-"): value if isinstance(value, str) else _number(value)
            for name, value in attributes.items()
        },
    )
    child.text = text
    return child


def markup(root: ET.Element) -> Markup:
    """Returns the drawing as text that a template may take as it is."""
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - serialised, so escaped


def polyline(points: Iterable[Point]) -> str:
    """Returns the path data of straight lines through the points."""
    return "M" + " L".join(f"{_number(x)},{_number(y)}" for x, y in points)


def arrow_head(tip: Point, towards: Point, size: float = 6) -> str:
    """Returns the path data of a filled triangle at `tip` pointing along the vector `towards`."""
    length = math.hypot(*towards) or 1.0
    dx, dy = towards[0] / length, towards[1] / length
    back = (tip[0] - dx * size, tip[1] - dy * size)
    half = size * 0.5
    left = (back[0] - dy * half, back[1] + dx * half)
    right = (back[0] + dy * half, back[1] - dx * half)
    return polyline([tip, left, right]) + " Z"


def beside(points: Sequence[Point], offset: float) -> list[Point]:
    """Returns the line moved sideways by `offset`, to the right of its direction of travel.

    Corners are moved along the mean of the two normals, which is enough for the blunt corners
    that a layered drawing has.
    """
    normals = []
    for (x1, y1), (x2, y2) in pairwise(points):
        length = math.hypot(x2 - x1, y2 - y1) or 1.0
        normals.append(((y1 - y2) / length, (x2 - x1) / length))
    moved = []
    for index, (x, y) in enumerate(points):
        around = normals[max(index - 1, 0) : index + 1]
        nx = sum(normal[0] for normal in around) / len(around)
        ny = sum(normal[1] for normal in around) / len(around)
        moved.append((x + nx * offset, y + ny * offset))
    return moved


def text_width(text: str) -> float:
    """Returns the width (px) to reserve for a text in the figures' font."""
    return len(text) * CHARACTER_WIDTH_PX


def shorten(text: str, limit: int) -> str:
    """Returns the text cut to `limit` characters, the cut shown by an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
