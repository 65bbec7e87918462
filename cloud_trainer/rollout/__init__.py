"""Who gets which bundle when: keys, the depot that serves bundles, signed orders, and rings decided by reports."""

from cloud_trainer.rollout.depot import Depot
from cloud_trainer.rollout.keys import Keys, create, load, public_keys, sign_bundle, signer
from cloud_trainer.rollout.order import make_order, publish, sign_order
from cloud_trainer.rollout.rings import Decision, Plan, Report, advance, by_hash
from cloud_trainer.rollout.store import depot_folder, drive, release, reports

__all__ = [
    "Decision",
    "Depot",
    "Keys",
    "Plan",
    "Report",
    "advance",
    "by_hash",
    "create",
    "depot_folder",
    "drive",
    "load",
    "make_order",
    "public_keys",
    "publish",
    "release",
    "reports",
    "sign_bundle",
    "sign_order",
    "signer",
]
