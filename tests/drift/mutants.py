"""The planted bugs: detectors that look reasonable and alarm in a steady world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cloud_trainer.drift.detector import Array, Reference, Rule, State, bet, log_wealth, step


def believes_the_baseline(ref: Reference) -> Reference:
    """As if the baseline had no sampling error of its own: no tolerance."""
    return Reference(names=ref.names, p=ref.p, delta=np.zeros_like(ref.delta), lag1=ref.lag1)


def peeks(ref: Reference, rule: Rule, state: State, *, counts: Array, lag1: Array) -> State:
    """Bets on the period after it has seen it."""
    seen = step(ref, rule, state, counts=counts, lag1=lag1)
    log_e = log_wealth(ref, bet(ref, rule, seen), counts)
    return replace(seen, log_sr=log_e + np.logaddexp(state.log_sr, 0.0))


def counts_every_window(ref: Reference) -> Reference:
    """As if neighbouring windows were independent."""
    return Reference(names=ref.names, p=ref.p, delta=ref.delta, lag1=np.zeros_like(ref.lag1))


def names_on_sums(log_m: Array, discovery_rate: float) -> tuple[int, ...]:
    """E-BH on Shiryaev-Roberts sums, which grow with time by construction."""
    from cloud_trainer.drift.detector import e_bh

    return e_bh(log_m, discovery_rate)
