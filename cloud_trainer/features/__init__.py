"""The feature store: a dataset version by a feature program. One rule: every number is the C core's."""

from cloud_trainer.features.table import FeatureTable, cache_name, materialise

__all__ = ["FeatureTable", "cache_name", "materialise"]
