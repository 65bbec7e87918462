"""Datasets: recordings and labels, frozen. One rule: a version never changes; its digest is its content."""

from cloud_trainer.datasets.content import Recording, RecordRows, Span
from cloud_trainer.datasets.fromrecords import RecordLabel, labelled_rows, read_labels, write_sheet
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
    "RecordLabel",
    "RecordRows",
    "Recording",
    "Span",
    "freeze",
    "labelled_rows",
    "load",
    "read_frames",
    "read_labels",
    "read_recordings",
    "read_records",
    "versions",
    "write_sheet",
]
