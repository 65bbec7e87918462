"""Fitted estimators as steps. One rule: sums have the trainer's order and type, or the estimator is refused by name."""

from cloud_trainer.export.native_forms.table import check_exportable, model_of, native_form

__all__ = ["check_exportable", "model_of", "native_form"]
