"""`edge-runtime selftest`: does this board compute what every other one does, and how fast?

One rule: inputs are made from integers and outputs are hashed bit by bit, one hash an operator. `selftest.txt`, which
ships in the package, names the hashes that all machines of tests/csrc share; an operator that is newer than the list is
told as such. `python -m edge_runtime.selftest` prints the list anew. Standard library and the core alone.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import resource
import struct
import sys
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel, Feature, Filter, Program
from edge_runtime.features import build_program
from edge_runtime.lean import dataclass
from edge_runtime.native import Operator

SHIPPED = Path(__file__).with_name("selftest.txt")
WINDOW, HOP, FRAMES = 64, 32, 256
CHANNELS = (Channel(name="a", unit="x"), Channel(name="b", unit="x", scale=0.001, offset=-0.3, taper="hann"))

TIMES = ("p50_us", "p99_us", "n_windows", "peak_rss_bytes")
STANDARD_CHANNELS, STANDARD_WINDOW = 6, 256
STANDARD = (
    "mean", "std", "rms", "min", "max", "range", "skewness", "kurtosis", "median", "quantile(0.25)", "quantile(0.75)",
    "iqr", "zero_crossings", "mad_diff", "autocorrelation(1)", "slope", "spectral_centroid", "spectral_entropy",
    *(f"band_power({8 * i},{8 * i + 8})" for i in range(8)),
)  # fmt: skip
"""The vibration monitor of bench/: 6 channels, 256 frames at 128 Hz."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one selftest found.

    Attributes:
        hashes: Of every operator, by name.
        shipped: Those that every machine must have.
        p50_us: Of one standard window [µs].
        p99_us: Likewise.
        n_windows: That were timed.
        peak_rss_bytes: Of this process so far.
        cpu: Its name.
        machine: Its architecture, as `uname -m` has it.
        pointer_bits: Of this process: 32 or 64.
    """

    hashes: Mapping[str, str]
    shipped: Mapping[str, str]
    p50_us: float
    p99_us: float
    n_windows: int
    peak_rss_bytes: int
    cpu: str
    machine: str
    pointer_bits: int

    @property
    def digest(self) -> str:
        """One line over the operators that `shipped` names, 32 hex digits."""
        return _over({name: self.hashes.get(name, "") for name in self.shipped})

    @property
    def shipped_digest(self) -> str:
        """What it has to be."""
        return _over(self.shipped)

    @property
    def wrong(self) -> list[str]:
        """Operators with other bits than shipped, or missing."""
        return [name for name, value in self.shipped.items() if self.hashes.get(name) != value]

    @property
    def newer(self) -> list[str]:
        """Operators of this build that the list does not know yet."""
        return [name for name in self.hashes if name not in self.shipped]

    def as_json(self) -> str:
        """What `cloud-trainer profile --selftest` reads."""
        facts = {key: getattr(self, key) for key in (*TIMES, "cpu", "machine", "pointer_bits", "digest", "wrong")}
        return json.dumps(facts, indent=1, ensure_ascii=False)


def run(*, seconds: float = 1.0) -> Report:
    """Hash every operator, then time the standard window.

    Args:
        seconds: How long to time; at least 20 windows.

    Raises:
        ContractError: This process flushes denormals, so that no bits can be promised.
    """
    times = sorted(_times(seconds))
    return Report(
        hashes=hashes(),
        shipped=shipped(),
        p50_us=times[len(times) // 2] / 1000,
        p99_us=times[len(times) * 99 // 100] / 1000,
        n_windows=len(times),
        peak_rss_bytes=peak_rss_bytes(),
        cpu=cpu_name(),
        machine=platform.machine().lower(),
        pointer_bits=8 * struct.calcsize("P"),
    )


def shipped() -> dict[str, str]:
    """The list in the package."""
    return dict(line.split() for line in SHIPPED.read_text(encoding="ascii").splitlines())


def hashes() -> dict[str, str]:
    """Name -> 16 hex digits, of every operator on channels."""
    inputs = [array("I", _words(k, make)) for k, make in enumerate(INPUTS)]
    found = {}
    for op in native.operators():
        if op.kind == "row":
            continue
        total = hashlib.sha256()
        for words in inputs:
            out = array("I", native.batch(_program(op), array("f", words.tobytes())).tobytes())
            if sys.byteorder == "big":
                out.byteswap()
            total.update(out.tobytes())
        found[op.name] = total.hexdigest()[:16]
    return found


# ---- inputs: bits of float32, from integers


def _numbers(state: int) -> Iterator[int]:
    """splitmix64 (Steele, Lea, Flood 2014)."""
    mask = (1 << 64) - 1
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        yield z ^ (z >> 31)


INPUTS: tuple[Callable[[int], int], ...] = (
    lambda r: r & 0x80000000 | 0x3F000000 | r >> 32 & 0x7FFFFF,  # of size 1/2..1
    lambda r: 0x411CF5C3 + (r & 0xFFF),  # 9.81 and a little more
    lambda _: 0x3DCCCCCD,  # 0.1
    lambda r: (0, 0x3F800000, 0xBF800000, 0x40000000)[r & 3],  # 0, 1, -1, 2: many ties
    lambda r: r & 0x807FFFFF,  # denormal
    lambda r: r & 0x807FFFFF | 0x7E000000,  # about 1e38
    lambda r: r & 0xFFFFFFFF if r >> 40 & 127 == 0 else r & 0x807FFFFF | 0x3F800000,  # any bits now and then: NaN, Inf
)


def _words(seed: int, make: Callable[[int], int]) -> list[int]:
    numbers = _numbers(seed)
    return [make(next(numbers)) for _ in range(FRAMES * len(CHANNELS))]


def _program(op: Operator) -> Program:
    """`op` with its example's parameters: on each channel, between both, or as a filter before three operators."""
    filters: tuple[Filter, ...] = ()
    if op.kind == "filter":
        sources = tuple(i % len(CHANNELS) for i in range(op.n_sources[0]))
        filters = (Filter(name="f", op=op.id, sources=sources, params=op.example),)
        features = [Feature(name=f"{id_}", op=id_, channel=len(CHANNELS)) for id_ in (1, 2, 3)]  # mean, std, rms
    elif op.n_sources[0] == 1:
        features = [Feature(name=c.name, op=op.id, channel=i, params=op.example) for i, c in enumerate(CHANNELS)]
    else:
        features = [Feature(name="ab", op=op.id, channel=0, params=op.example, other=1)]
    return Program(
        rate_hz=20.0,
        channels=CHANNELS,
        window_frames=WINDOW,
        hop_frames=HOP,
        features=tuple(features),
        filters=filters,
    )


# ---- the machine


def _times(seconds: float) -> list[int]:
    """Of one standard window each [ns]."""
    columns = [Channel(name=f"c{i}", unit="x") for i in range(STANDARD_CHANNELS)]
    program = build_program(
        columns, rate_hz=128.0, window_frames=STANDARD_WINDOW, hop_frames=STANDARD_WINDOW, features=STANDARD
    )
    numbers = _numbers(7)
    words = array("I", (INPUTS[0](next(numbers)) for _ in range(STANDARD_WINDOW * STANDARD_CHANNELS)))
    frames = array("f", words.tobytes())
    stream, clock = native.Stream(program, Policy(thresholds_ppm=(0,))), time.perf_counter_ns
    times: list[int] = []
    end = clock() + int(seconds * 1e9)
    while len(times) < 20 or clock() < end:
        start = clock()
        stream.step(frames, 0, STANDARD_WINDOW)
        times.append(clock() - start)
        stream.decide((1.0,))
    return times


def peak_rss_bytes() -> int:
    """The most memory this process held; by /proc where it is there, as getrusage counts what stood before exec."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.M)):
        return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def cpu_name() -> str:
    """As the machine names itself: the board's device tree, /proc/cpuinfo, or the architecture."""
    names = []
    model = Path("/sys/firmware/devicetree/base/model")
    if model.exists():
        names.append(model.read_text().rstrip("\0"))
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"^(?:model name|cpu model|uarch)\s*: (.+)$", info.read_text(), re.M)):
        names.append(found[1].strip())
    return ", ".join(names) or platform.processor() or platform.machine()


def _over(hashes_: Mapping[str, str]) -> str:
    return hashlib.sha256(_lines(hashes_).encode()).hexdigest()[:32]


def _lines(hashes_: Mapping[str, str]) -> str:
    return "".join(f"{name} {value}\n" for name, value in hashes_.items())


if __name__ == "__main__":
    sys.stdout.write(_lines(hashes()))
