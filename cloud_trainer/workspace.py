"""Workspace: the folder where a project's loop keeps everything.

One rule: an older format becomes this one when it is opened, a newer one is left alone. Tables need no step for a new
column: `ingest.view` reads one that is not there as null, and the next append adds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cloud_trainer.tables import Tables
from edge_runtime.errors import ContractError, UsageError

FORMAT = "0.1"
MIGRATIONS: Mapping[str, Step] = {}
"""Format -> what makes a workspace of it one of the next; none has been needed. A workspace of every format that has
shipped, made by the code of its day, is in tests/ingest/golden."""
DEFAULT = ".edgeloop"
MARKER = "workspace.json"
_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_PRODUCER = "urn:edgeloop"


class Step(NamedTuple):
    """One format to the next."""

    next: str
    run: Callable[[Path], None]  # of the root; may have been cut short before, and then runs again from the start


class Workspace:
    """The folder: `tables/`, `bundles/`, `keys/`, `artifacts/`, `mlflow.db`, `lineage.ndjson`."""

    def __init__(self, root: Path | str) -> None:
        """Opens the workspace at `root`, which is made if it is missing.

        Raises:
            ContractError: It was written by a newer major format; nothing in it was changed.
        """
        self.root = Path(root).absolute()
        self.root.mkdir(parents=True, exist_ok=True)
        marker = self.root / MARKER
        if not marker.exists():
            _mark(marker, FORMAT)
        if _format(marker) in MIGRATIONS:
            _migrate(marker)
        self.tables = Tables(os.environ.get("EDGELOOP_TABLES") or self.root / "tables")

    @property
    def bundles(self) -> Path:
        """Folder of the bundles that were exported."""
        return _folder(self.root / "bundles")

    @property
    def keys(self) -> Path:
        """Folder of the signing keys; for its owner alone."""
        path = _folder(self.root / "keys")
        path.chmod(0o700)
        return path

    @property
    def artifacts(self) -> Path:
        """Folder of the runs' artifacts, where no tracking server keeps them."""
        return _folder(self.root / "artifacts")

    @property
    def mlflow_uri(self) -> str:
        """Where runs are tracked: MLFLOW_TRACKING_URI if it is set, else an SQLite file here."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def lineage(self) -> Path:
        """The file of OpenLineage events, one JSON object a line, oldest first."""
        return self.root / "lineage.ndjson"

    def add_lineage(
        self,
        job: str,
        *,
        inputs: Sequence[str],
        outputs: Sequence[str],
        facts: Mapping[str, object],
        run_id: str = "",
    ) -> None:
        """Append one OpenLineage event: `job` made `outputs` from `inputs`.

        Args:
            job: The verb, such as "freeze".
            inputs: Names such as "har@2".
            outputs: Names likewise.
            facts: JSON values that identify what was made: digests, counts, versions.
            run_id: A UUID in hex, or "" for a new one.
        """
        event = {
            "eventType": "COMPLETE",
            "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "run": {
                "runId": str(uuid.UUID(run_id)) if run_id else str(uuid.uuid4()),
                "facets": {"edgeloop": {"_producer": _PRODUCER, "_schemaURL": _SCHEMA, **facts}},
            },
            "job": {"namespace": "edgeloop", "name": job},
            "inputs": [{"namespace": "edgeloop", "name": name} for name in inputs],
            "outputs": [{"namespace": "edgeloop", "name": name} for name in outputs],
            "producer": _PRODUCER,
            "schemaURL": _SCHEMA,
        }
        with self.lineage.open("a", encoding="utf-8") as out:
            out.write(json.dumps(event, sort_keys=True) + "\n")


def existing(root: Path | str) -> Workspace:
    """The workspace at `root`, for a command that only looks: an empty one made by a mistyped path would hide it.

    Raises:
        UsageError: There is none.
        ContractError: It was written by a newer major format.
    """
    if not (Path(root) / MARKER).is_file():
        raise UsageError(
            f"workspace {Path(root).absolute()}: there is none",
            hint="name it with --workspace; `cloud-trainer data freeze` makes one beside the project file",
        )
    return Workspace(root)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _migrate(marker: Path) -> None:
    """Run the steps to this format, one process at a time; the marker tells each one that is done."""
    with (marker.parent / "migration.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        while (found := _format(marker)) in MIGRATIONS:
            MIGRATIONS[found].run(marker.parent)
            _mark(marker, MIGRATIONS[found].next)


def _mark(marker: Path, form: str) -> None:
    """Say which format it is; durably, and never by half."""
    part = marker.with_name(f"{MARKER}.{os.getpid()}.part")
    with part.open("w", encoding="utf-8") as out:
        out.write(json.dumps({"format": form}) + "\n")
        out.flush()
        os.fsync(out.fileno())
    part.replace(marker)


def _format(marker: Path) -> str:
    """The format that a workspace is of: this one or an older one."""
    try:
        found = str(json.loads(marker.read_text(encoding="utf-8"))["format"])
        major = int(found.split(".", maxsplit=1)[0])
    except (OSError, ValueError, KeyError, TypeError) as why:
        raise ContractError(f"{marker}: not a workspace: {why}", hint="name another folder") from why
    if major > int(FORMAT.split(".", maxsplit=1)[0]):
        raise ContractError(
            f"{marker}: format {found} is newer than this build's {FORMAT}",
            hint="update edgeloop, or name another workspace; nothing in it was changed",
        )
    return found
