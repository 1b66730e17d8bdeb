"""Entity steps: what they write, the record of it, and how that is undone from the record.

perform.py leads to creation.py, updates.py with links.py, and deletion.py; inverse.py to removal.py,
reverting.py and restoration.py. Both sides share the record's shape (records.py) and how a field's value is
written down (images.py).
"""

from __future__ import annotations

from flowstate.engine.entities.inverse import (
    ConflictSkipped,
    Restored,
    Undone,
    models_of,
    refused_at_commit,
    rows_as_senders,
    undo,
)
from flowstate.engine.entities.links import link_tables
from flowstate.engine.entities.perform import Written, perform
from flowstate.engine.entities.traces import Touched

__all__ = [
    "ConflictSkipped",
    "Restored",
    "Touched",
    "Undone",
    "Written",
    "link_tables",
    "models_of",
    "perform",
    "refused_at_commit",
    "rows_as_senders",
    "undo",
]
