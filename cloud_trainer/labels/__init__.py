"""Labels that come late: kept by the record's identity, and what they say of each bundle."""

from cloud_trainer.labels.late import Labelled, import_labels, of_bundles
from cloud_trainer.labels.windows import Written, write_windows

__all__ = ["Labelled", "Written", "import_labels", "of_bundles", "write_windows"]
