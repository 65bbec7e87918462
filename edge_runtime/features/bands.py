"""Bands that reach above half the rate. One rule: refused where a program is made, never where one runs.

A band is f0 <= f < f1, so the bin at rate/2 needs an f1 above it: one bin, rate/n, is allowed. The core takes any f1,
as programs that were shipped must go on.
"""

from __future__ import annotations

from edge_runtime import native
from edge_runtime.contract.program import Program
from edge_runtime.errors import UsageError

BAND_POWER = 9
ROUNDING = 1e-6


def check_bands(program: Program) -> None:
    """Refuse a band that asks for frequencies that its channel does not have.

    Raises:
        UsageError: Names the feature, f1, half the rate and what to write.
    """
    for feature in program.features:
        if feature.op != BAND_POWER:
            continue
        rate, n = native.channel_pace(program, feature.channel)
        top, f1 = rate / 2 + rate / n, feature.params[1]
        if f1 > top * (1 + ROUNDING):
            raise UsageError(
                f"feature {feature.name}: f1 {f1:g} Hz is above half the rate, {rate / 2:g} Hz",
                hint=f"write f1 = {rate / 2:g}, or up to {top:g} to take the bin at {rate / 2:g} Hz in",
            )
