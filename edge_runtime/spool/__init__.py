"""What waits on the device until the store has it: batches in SQLite, and the thread that owns them."""

from edge_runtime.spool.lives import boot_id
from edge_runtime.spool.store import Spool
from edge_runtime.spool.values import KINDS, Draft, Gap, Sealed, Stats
from edge_runtime.spool.worker import SpoolWorker

__all__ = ["KINDS", "Draft", "Gap", "Sealed", "Spool", "SpoolWorker", "Stats", "boot_id"]
