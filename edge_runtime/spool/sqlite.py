"""SQLite as the spool uses it: the compiled half of `sqlite3`. One rule: the other half stays away.

That half brings datetime and registers converters of dates, which the spool has none of.
"""

from __future__ import annotations

from edge_runtime.lean import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
else:
    import _sqlite3 as sqlite3

__all__ = ["sqlite3"]
