"""Audit: why a device decided what it decided. So far: where its model came from."""

from cloud_trainer.audit.lineage import Chain, RecordId, lineage
from cloud_trainer.audit.shelf import find_bundle

__all__ = ["Chain", "RecordId", "find_bundle", "lineage"]
