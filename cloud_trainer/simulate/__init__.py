"""Simulated fleets: many devices by the real codec, courier and broker into the real store, with planted faults."""

from cloud_trainer.simulate.fleet import simulate
from cloud_trainer.simulate.plan import FAULTS, Plan, parse_faults

__all__ = ["FAULTS", "Plan", "parse_faults", "simulate"]
