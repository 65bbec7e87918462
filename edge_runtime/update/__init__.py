"""From an order to a running bundle: fetch, verify, inspect, preflight (in a child), then slots.

One rule: nothing here runs before it is verified, and a power cut at any instant leaves a whole bundle to run.
"""

from edge_runtime.update.disk import Disk, PosixDisk
from edge_runtime.update.slots import Phase, Started, State, collect, confirm, fall_back, install, load, start
from edge_runtime.update.trust import Trust
from edge_runtime.update.updater import Result, Updater

__all__ = [
    "Disk",
    "Phase",
    "PosixDisk",
    "Result",
    "Started",
    "State",
    "Trust",
    "Updater",
    "collect",
    "confirm",
    "fall_back",
    "install",
    "load",
    "start",
]
