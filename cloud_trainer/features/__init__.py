"""The feature store: a dataset version by a feature program. One rule: every number is the C core's."""

from cloud_trainer.features.fit import fit_entries, needs_fit
from cloud_trainer.features.table import FeatureTable, cache_name, labelled_windows, materialise

__all__ = ["FeatureTable", "cache_name", "fit_entries", "labelled_windows", "materialise", "needs_fit"]
