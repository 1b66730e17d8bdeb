"""Backward: what a step has done is taken back, refused as a conflict, or shown beforehand."""
