"""What the daemon asks of its update child. One rule: plain JSON values, so that nothing but text crosses."""

from __future__ import annotations

from edge_runtime.lean import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the child is asked.

    Attributes:
        mode: "order" (a signed order, `order` in base64) or "file" (the factory bundle at `path`).
        folder: of the stream's slots.
        site, device, stream: who this is.
        last_version: newest order version acted on.
        confirmed: digest of the running bundle, which is never fetched again.
        release_keys, rollout_keys: `Trust`.
        max_bytes: of a bundle [bytes].
        memory_bytes: data memory of this process [bytes].
        cpu_s: CPU time of this process [s].
        latency_us: p99 of a decision that this device allows [µs]; 0: the time between two windows.
    """

    mode: str
    folder: str
    site: str = ""
    device: str = ""
    stream: str = ""
    order: str = ""
    path: str = ""
    last_version: int = 0
    confirmed: str = ""
    release_keys: tuple[str, ...] = ()
    rollout_keys: tuple[str, ...] = ()
    max_bytes: int = 64 << 20
    memory_bytes: int = 512 << 20
    cpu_s: int = 120
    latency_us: int = 0
