"""One daemon a state folder. One rule: taken before anything in the folder is read, let go by the kernel alone.

A second daemon would spend the first one's trial by merely looking at its slots.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from edge_runtime.errors import UsageError


def lock_state(folder: Path) -> int:
    """Return the descriptor that holds the folder as long as this process lives; made where there is none.

    Raises:
        UsageError: another process holds it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"state {folder}: {error.strerror}", hint="check the rights of its folder") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise UsageError(
            f"state {folder}: another edge-runtime runs on it", hint="stop that one, or give this one its own state"
        ) from error
    return descriptor
