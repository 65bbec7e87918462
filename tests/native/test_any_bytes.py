"""Any bytes as a program: a value or a ContractError, never a crash, never more memory than it declared."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime import native
from edge_runtime.contract import canonical
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel, Feature, Filter, Program
from edge_runtime.errors import ContractError

POLICY = Policy(thresholds_ppm=(0, 0))
SLACK_BYTES = 64 << 10
"""What Python itself may take for the objects around the core's memory."""
BASE = Program(
    rate_hz=20.0,
    channels=(Channel(name="a", unit="g"), Channel(name="b", unit="g", scale=0.5, every=2, taper="hann")),
    window_frames=16,
    hop_frames=8,
    filters=tuple(
        Filter(name=op.name, op=op.id, sources=(0,) * op.n_sources[0], params=op.example)
        for op in native.operators()
        if op.kind == "filter" and op.n_sources[0] == 1
    )[:4],
    features=tuple(
        Feature(name=op.name, op=op.id, channel=i % 2, params=op.example)
        for i, op in enumerate(native.operators())
        if op.kind == "window" and op.n_sources[0] == 1
    )[:24],
)
LEAVES: list[Any] = [
    None, True, -1, 0, 1, 2, 3, 7, 16, 63, 64, 65, 4095, 4096, 4097, 65535, 65536, 2**31, 2**53, 0.0, -0.0, 0.5, -1.5,
    1e-300, 1e-40, 1e38, 1e39, 1e300, "", "a", "hann", "x" * 200, [], [0], [1, 2, 3], {}, {"a": 1},
]  # fmt: skip


def run(data: bytes) -> bool:
    """Decode, check, build in the memory that it declares and run; False where it was refused."""
    frames = memoryview(bytes(4 * 64 * 40)).cast("f")
    try:
        program = Program.from_bytes(data)
        declared = native.state_bytes(program, POLICY)
    except ContractError:
        return False
    tracemalloc.start()
    try:
        stream = native.Stream(program, POLICY)
        peak = tracemalloc.get_traced_memory()[1]
    except ContractError:
        return False
    finally:
        tracemalloc.stop()
    assert stream.nbytes == declared
    assert peak <= declared + SLACK_BYTES
    at, n = 0, 40
    while at < n:
        at += stream.step(frames[: n * len(program.channels)], at, n - at)
        if stream.status == "scores":
            stream.decide((0.5, 0.5))
    return True


def changed(rng: random.Random, value: Any) -> Any:
    """`value` with one leaf, key or element other than before."""
    if isinstance(value, dict) and value and rng.random() < 0.95:
        key = rng.choice(sorted(value))
        rest = {k: v for k, v in value.items() if k != key}
        if rng.random() < 0.05:
            return rest
        return rest | {key if rng.random() < 0.97 else "zz": changed(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        i = rng.randrange(len(value))
        kind = rng.random()
        if kind < 0.1:
            return value[:i] + value[i + 1 :]
        if kind < 0.2:
            return value[:i] + value[i : i + 1] * rng.choice((2, 70, 1100)) + value[i + 1 :]
        return [*value[:i], changed(rng, value[i]), *value[i + 1 :]]
    return rng.choice(LEAVES)


def test_the_base_runs() -> None:
    assert run(BASE.to_bytes())


@settings(max_examples=1500, deadline=None)
@given(seed=st.integers(0, 2**63), changes=st.integers(1, 4))
def test_a_changed_program_is_a_value_or_a_contract_error(seed: int, changes: int) -> None:
    rng = random.Random(seed)
    fields: Any = json.loads(BASE.to_bytes())
    for _ in range(changes):
        fields = changed(rng, fields)
    try:
        data = canonical.dumps(fields)
    except ContractError:  # not even a document
        data = json.dumps(fields).encode()
    run(data)


@settings(max_examples=500, deadline=None)
@given(data=st.binary(max_size=60), at=st.integers(0, 4000), cut=st.integers(0, 80))
def test_any_bytes_in_a_program_are_refused_or_run(data: bytes, at: int, cut: int) -> None:
    golden = BASE.to_bytes()
    run(golden[:at] + data + golden[at + cut :])
    run(data)
