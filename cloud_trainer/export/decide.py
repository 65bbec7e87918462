"""Scores to labels by the core's own decision policy, for whole tables. One rule: no second policy in Python."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel, Feature, Program

_PROGRAM = Program(
    rate_hz=1.0,
    channels=(Channel(name="none", unit=""),),
    window_frames=2,
    hop_frames=2,
    features=(Feature(name="none.min", op=4, channel=0),),
)


def decide_rows(
    policy: Policy, scores: npt.NDArray[np.float64], recording: Sequence[object]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """(label, vote) of each row, -1 = abstain; rows of one recording follow each other, each starts the policy anew."""
    frames, stream, at = memoryview(array("f", bytes(8))), None, None
    labels, votes = np.empty(len(scores), np.int32), np.empty(len(scores), np.int32)
    for i, row in enumerate(scores.tolist()):
        if stream is None or recording[i] != at:
            stream, at = native.Stream(_PROGRAM, policy, model=None), recording[i]
        stream.step(frames, 0, 2)
        decision = stream.decide(row)
        labels[i], votes[i] = decision.label, decision.vote
    return labels, votes
