"""Datasets: recordings and labels, frozen. One rule: a version never changes; its digest is its content."""

from cloud_trainer.datasets.content import Recording, RecordRows, Span
from cloud_trainer.datasets.read import ExtraRecording, Progress, read_recordings
from cloud_trainer.datasets.store import (
    DatasetVersion,
    freeze,
    load,
    read_frames,
    read_records,
    versions,
)

__all__ = [
    "DatasetVersion",
    "ExtraRecording",
    "Progress",
    "RecordRows",
    "Recording",
    "Span",
    "freeze",
    "load",
    "read_frames",
    "read_recordings",
    "read_records",
    "versions",
]
