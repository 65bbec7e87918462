"""Streams through cffi, for valgrind: every operator, a forest, records, bad times, saved states. Prints "whole"."""

from __future__ import annotations

from array import array

from edge_runtime import native, selftest
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel, Program
from edge_runtime.errors import ContractError
from edge_runtime.features import build_program
from tests.update.bundles import PROGRAM, forest

POLICY = Policy(thresholds_ppm=(0, 0))


def play(stream: native.Stream, frames: array[float], n: int, cut: int) -> None:
    at = 0
    while at < n:
        at += stream.step(frames, at, min(cut, n - at))
        if stream.status == "scores":
            stream.decide((0.25, 0.75))
    assert len(bytes(stream.features)) > 0


def through(program: Program, model: bytes | None = None) -> None:
    """Cut, saved in the middle, restored, adopted; broken states are refused."""
    n = 3 * program.window_frames
    frames = array("f", [((7 * i) % 11) / 8 for i in range(n * len(program.channels))])
    first, second, third = (native.Stream(program, POLICY, model=model) for _ in range(3))
    play(first, frames, n, 5)
    second.restore(first.save())
    play(second, frames, n, n)
    third.adopt(second)
    try:
        third.restore(first.save()[:-8] + bytes(8))
    except ContractError:
        play(third, frames, n, 3)


def main() -> None:
    assert len(selftest.hashes()) > 60
    through(PROGRAM, forest())
    columns = [Channel(name="x", unit="g"), Channel(name="y", unit="g", every=2)]
    through(build_program(columns, rate_hz=20.0, window_frames=16, hop_frames=8, features=("mean", "median", "iqr")))
    fields = {"age": "number", "colour": "text"}
    beside = build_program(
        columns[:1],
        rate_hz=10.0,
        window_frames=4,
        hop_frames=2,
        features=["x:mean", "age:impute_last", "colour:one_hot(red,green)"],
        fields=fields,
    )
    stream = native.Stream(beside, POLICY)
    for record in ((7, "green"), (None, "blue"), (1.5, None)):
        stream.record(record)
        play(stream, array("f", [1, 2, 3, 4]), 4, 4)
    print("whole")


if __name__ == "__main__":
    main()
