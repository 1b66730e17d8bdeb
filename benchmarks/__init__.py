"""Side by side: the same checkout through flowstate, its peers and raw SQL, as ratios to the last."""

from __future__ import annotations
