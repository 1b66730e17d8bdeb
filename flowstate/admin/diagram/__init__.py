"""Draws a run as SVG on the server: its steps as a graph, and as bars along the time. Colours are in admin.css."""

from __future__ import annotations

from flowstate.admin.diagram.graph import run_graph
from flowstate.admin.diagram.waterfall import run_waterfall

__all__ = ["run_graph", "run_waterfall"]
