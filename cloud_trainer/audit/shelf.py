"""Bundles of the workspace by digest, whatever their files are called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.contract.bundle import Bundle, unpack
from edge_runtime.errors import EdgeloopError, UsageError

if TYPE_CHECKING:
    from cloud_trainer.workspace import Workspace


def find_bundle(ws: Workspace, digest: str) -> tuple[Path, Bundle]:
    """The verified bundle file with this digest.

    Raises:
        UsageError: The workspace does not have it, or only damaged.
    """
    files = sorted(ws.bundles.rglob("*.elb"), key=lambda path: digest not in path.name)
    damaged = []
    for path in files:
        try:
            bundle = unpack(path.read_bytes())
        except EdgeloopError as why:
            damaged.append(f"{path.name}: {why}")
            continue
        if bundle.digest == digest:
            return path, bundle
    raise UsageError(
        f"bundle {digest}: not among the {len(files)} files of {ws.bundles}",
        hint="; ".join(damaged[:3]) or "copy the bundle file there, its name does not matter",
    )
