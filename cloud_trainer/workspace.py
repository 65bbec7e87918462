"""Workspace: the folder where a project's loop keeps everything. One rule: a newer format is left alone."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from cloud_trainer.tables import Tables
from edge_runtime.errors import ContractError, UsageError

FORMAT = "0.1"
DEFAULT = ".edgeloop"
MARKER = "workspace.json"
_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_PRODUCER = "urn:edgeloop"


class Workspace:
    """The folder: `tables/`, `bundles/`, `keys/`, `artifacts/`, `mlflow.db`, `lineage.ndjson`."""

    def __init__(self, root: Path | str) -> None:
        """Opens the workspace at `root`, which is made if it is missing.

        Raises:
            ContractError: It was written by a newer major format.
        """
        self.root = Path(root).absolute()
        self.root.mkdir(parents=True, exist_ok=True)
        marker = self.root / MARKER
        if not marker.exists():
            marker.write_text(json.dumps({"format": FORMAT}) + "\n", encoding="utf-8")
        _check_format(marker)
        self.tables = Tables(self.root / "tables")

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


def _check_format(marker: Path) -> None:
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))["format"]
        major = int(str(found).split(".", maxsplit=1)[0])
    except (OSError, ValueError, KeyError, TypeError) as why:
        raise ContractError(f"{marker}: not a workspace: {why}", hint="name another folder") from why
    if major > int(FORMAT.split(".", maxsplit=1)[0]):
        raise ContractError(
            f"{marker}: format {found} is newer than this build's {FORMAT}",
            hint="update edgeloop, or name another workspace; nothing in it was changed",
        )
