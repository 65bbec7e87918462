"""Labels that come late: kept by the record's identity, and what they say of each bundle."""

from cloud_trainer.labels.late import Labelled, import_labels, of_bundles

__all__ = ["Labelled", "import_labels", "of_bundles"]
