"""What a device sends, made with nothing but the package: no numpy, no other encoder."""

from __future__ import annotations

from array import array

from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel, Feature, Program
from edge_runtime.daemon.config import StreamConfig
from edge_runtime.daemon.period import Period
from tests.contract.samples import BASELINE, DOCUMENTS, HEADER


def sealed() -> str:
    """Hex of every message of a device: each sample, and records and summary of a period that the core counted."""
    values = [document.value for document in DOCUMENTS if not document.is_json]
    program = Program(
        rate_hz=10.0, channels=(Channel(name="x", unit="1"),), window_frames=2, hop_frames=2,
        features=(Feature(name="x.max", op=5, channel=0),),
    )  # fmt: skip
    rows = tuple(BASELINE.strata[0].features[0] for _ in range(3))
    stream = native.Stream(program, Policy(thresholds_ppm=(0, 0)), bins=rows)
    config = StreamConfig(name="motor", source="host", sample_k=4, period_windows=30, period_s=0.0)
    one = Period(config, header=HEADER, clock=1, n_labels=2, n_features=1, hop_s=0.2)
    frames = memoryview(array("f", [i % 7 - 3.0 for i in range(60)]))
    for window in range(30):
        stream.step(frames, 2 * window, 2)
        decision = stream.decide((0.7, 0.3) if window % 3 else (0.1, 0.9))
        one.observe(decision, stream, window=window, time_ms=1000 * window, latency_ns=15_000 + 999 * window)
    return " ".join([value.to_bytes().hex() for value in values] + [d.encode(7).hex() for d in one.finish(stream)])
