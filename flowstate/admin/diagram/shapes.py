"""The outlines of boxes, as path data: what a step does is told by its outline, as in the Mermaid diagrams."""

from __future__ import annotations

from flowstate.admin.diagram.layout import Box, Point
from flowstate.workflows.mermaid import Shape

CORNER, TIP, LID = 6, 12, 3


def outline(box: Box, shape: Shape) -> str:
    """Return the path around a box. Nothing of it is outside of the box."""
    left, top = box.x, box.y
    right, bottom = left + box.width, top + box.height
    match shape:
        case Shape.HEXAGON:
            return _polygon(left, top, right, bottom, TIP)
        case Shape.CHOICE:
            return _polygon(left, top, right, bottom, box.height // 2)
        case Shape.CYLINDER:
            half = box.width // 2
            arc = f"a{half} {LID} 0 0 0 {box.width} 0"
            lid = f"a{half} {LID} 0 0 1 {box.width} 0"
            return f"M{left} {top + LID}{lid}V{bottom - LID}a{half} {LID} 0 0 1 -{box.width} 0Z M{left} {top + LID}{arc}"
        case Shape.SUBROUTINE:
            bars = f"M{left + TIP // 2} {top}V{bottom}M{right - TIP // 2} {top}V{bottom}"
            return _rounded(box, 1) + bars
        case Shape.CIRCLE | Shape.STADIUM:
            return _rounded(box, box.height // 2)
    return _rounded(box, CORNER)


def line(points: tuple[Point, ...]) -> str:
    """Return a path through the points: straight where it goes straight down, curved otherwise."""
    (x, y), *others = points
    path = [f"M{x} {y}"]
    for to_x, to_y in others:
        if to_x == x:
            path.append(f"V{to_y}")
        else:
            middle = (y + to_y) // 2
            path.append(f"C{x} {middle} {to_x} {middle} {to_x} {to_y}")
        x, y = to_x, to_y
    return "".join(path)


def bow(start: Point, end: Point) -> str:
    """Return a path that leaves to the right and comes back from the right."""
    (x, y), (to_x, to_y) = start, end
    out = max(x, to_x) + 16 + min(abs(to_y - y) // 16, 24)
    return f"M{x} {y}C{out} {y} {out} {to_y} {to_x} {to_y}"


def _rounded(box: Box, corner: int) -> str:
    right, bottom = box.x + box.width, box.y + box.height
    return (
        f"M{box.x + corner} {box.y}H{right - corner}a{corner} {corner} 0 0 1 {corner} {corner}V{bottom - corner}"
        f"a{corner} {corner} 0 0 1 -{corner} {corner}H{box.x + corner}a{corner} {corner} 0 0 1 -{corner} -{corner}"
        f"V{box.y + corner}a{corner} {corner} 0 0 1 {corner} -{corner}Z"
    )


def _polygon(left: int, top: int, right: int, bottom: int, tip: int) -> str:
    middle = (top + bottom) // 2
    return f"M{left + tip} {top}H{right - tip}L{right} {middle}L{right - tip} {bottom}H{left + tip}L{left} {middle}Z"
