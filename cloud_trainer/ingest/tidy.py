"""Tidying while rows keep coming: each commit leaves a small file, and every so often those become one.

Its one rule: it may be cut off, refused or left out at any time. A rewrite is one Delta commit that removes exactly the
files that it read, so what others append meanwhile stays; of the consumers of a machine one at a time does it, and who
finds another at it leaves it out. Copies of rows are left to the reading view and to `cloud-trainer compact`, which
reads all; this reads the files below `TARGET_BYTES` alone, so a table of a year costs no more than one of a day.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from cloud_trainer.ingest import schema
from cloud_trainer.ingest.view import VACUUM_HOURS

if TYPE_CHECKING:
    from cloud_trainer.tables import Tables

log = logging.getLogger(__name__)

TARGET_BYTES = 32 << 20
"""A file of this size is left alone from then on."""

VACUUM_S = 24 * 3600.0


class Tidy:
    """Call `after` with the tables of each commit.

    Args:
        tables: The store.
        every: Commits to a table between two rewrites of it, 1...; 0 never rewrites.
        clock: Monotonic [s].

    Attributes:
        rewrites: That were stored; grows.
        refused: That the store refused; grows.
        seconds: Spent here; grows.
    """

    def __init__(self, tables: Tables, *, every: int = 100, clock: Callable[[], float] = time.monotonic) -> None:
        self._tables, self._every, self._clock = tables, every, clock
        self._commits: Counter[str] = Counter()
        self._vacuumed: dict[str, float] = {}
        self.rewrites = self.refused = 0
        self.seconds = 0.0

    def after(self, names: Iterable[str]) -> None:
        """Count a commit to each of these tables, and rewrite those whose turn it is."""
        for name in names:
            self._commits[name] += 1
            if self._every and self._commits[name] >= self._every:
                self._commits[name] = 0
                self._take_turn(name)

    def _take_turn(self, name: str) -> None:
        from deltalake.exceptions import DeltaError

        began = self._clock()
        try:
            with self._tables.alone(schema.raw(name), wait=False) as is_alone:
                if is_alone:
                    self._rewrite(name)
        except DeltaError as why:  # a full disk, say: rows are stored all the same, and the next turn tries again
            self.refused += 1
            log.warning("event=not-tidied table=%s why=%s", name, str(why).split("\n")[0][:200])
        self.seconds += self._clock() - began

    def _rewrite(self, name: str) -> None:
        table = self._tables.open(schema.raw(name))
        done = table.optimize.compact(target_size=TARGET_BYTES)
        self.rewrites += 1
        log.info("event=tidied table=%s files=%d into=%d", name, done["numFilesRemoved"], done["numFilesAdded"])
        self._vacuum(name, table)

    def _vacuum(self, name: str, table: Any) -> None:
        """Once a day: files that no version of the last week names, and log entries of the last month but one."""
        last = self._vacuumed.get(name)
        if last is None or self._clock() - last >= VACUUM_S:
            table.vacuum(retention_hours=VACUUM_HOURS, dry_run=False)
            table.cleanup_metadata()
            self._vacuumed[name] = self._clock()
