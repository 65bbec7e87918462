"""What a bundle needs on each target, before a board has it. One rule: each figure says how it came about.

Exact: counted in bytes. Estimated: from counted instructions and a rate. Energy is a formula until a user gives watts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cloud_trainer.profile.counted import TARGETS
from cloud_trainer.profile.counter import Counted, count
from cloud_trainer.profile.instructions import WITHIN, Instructions, instructions
from cloud_trainer.profile.rates import CLASSES, Rate
from edge_runtime.contract.traffic import DAY_S, bytes_day
from edge_runtime.engines import open_engine, program_of, stream_for
from edge_runtime.errors import ContractError, UsageError
from edge_runtime.sampling import APART

if TYPE_CHECKING:
    from edge_runtime.contract.bundle import Bundle

SMALL: Final = ("armv7", "cortex-m4f", "cortex-m33")
"""Targets whose pointers have 32 bits."""
WITHOUT_ORT: Final = SMALL
"""Targets that onnxruntime has no wheel for."""
FORMULA: Final = (
    "energy of a decision [J] = watts x latency",
    f"energy of a day [J] = {DAY_S} s / seconds between decisions x energy of a decision + watts at rest x the rest",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """What telemetry a device sends; the defaults are those of device.toml.

    Attributes:
        sample_k: Records kept of a period.
        period_s: Length of a period at least [s].
        period_windows: Decisions of a period at least.
    """

    sample_k: int = 32
    period_s: float = 3600
    period_windows: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Of one target.

    Attributes:
        target: A key of `TARGETS`.
        state_bytes: Stream: windows, filters, counts, what the model works in. Exact.
        model_bytes: The model file, read in place. Exact.
        stack_bytes: Longest chain of calls in the core. Exact, by the compiler's call graph.
        instructions: Of one decision, its parts; estimated.
        latency_us: Of one decision [µs]; None where onnxruntime runs the model or nothing can.
        rate: What the latency stands on.
        joules: Of one decision; None without watts.
        refused: Why the bundle does not run there, or "".
    """

    target: str
    state_bytes: int
    model_bytes: int
    stack_bytes: int
    instructions: Instructions
    latency_us: float | None
    rate: Rate
    joules: float | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Of one bundle.

    Attributes:
        name: Of the bundle, with its version.
        digest: Of the bundle.
        engine: "native" or "onnxruntime".
        bundle_bytes: The file as shipped. Exact.
        per: "a window" or, of a table, "a record".
        window_s: Between two decisions [s]; of a table as the project's rate_hz has it.
        telemetry_bytes_day: Of one stream [bytes/day]: batches encoded as a device encodes them.
        apart_bytes_day: What records that are kept for what they are (a fault, a value out of range) add at most.
        sampling: That the telemetry is of.
        needs: One a target.
        counted: Of this machine, where it was asked for.
    """

    name: str
    digest: str
    engine: str
    bundle_bytes: int
    per: str
    window_s: float
    telemetry_bytes_day: int
    apart_bytes_day: int
    sampling: Sampling
    needs: tuple[Need, ...]
    counted: Counted | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        whole = {key: value for key, value in asdict(self).items() if key != "needs"}
        needs = [
            asdict(need) | {"instructions_total": need.instructions.total, "instructions_within": WITHIN}
            for need in self.needs
        ]
        return whole | {"energy": FORMULA, "needs": needs}


def profile(
    bundle: Bundle,
    *,
    bundle_bytes: int,
    rates: Mapping[str, Rate] = CLASSES,
    watts: Mapping[str, float] | None = None,
    sampling: Sampling = Sampling(),
) -> Profile:
    """What `bundle` needs on every target.

    Args:
        bundle: As loaded.
        bundle_bytes: Of its file.
        rates: By target.
        watts: That a board draws while it computes, by target.
        sampling: Of the device.

    Raises:
        UsageError: Watts of a target that there is not, or not above 0.
    """
    _check_watts(watts or {})
    engine, program = open_engine(bundle), program_of(bundle)
    stream = stream_for(bundle, engine)
    window_s = program.hop_frames / program.rate_hz
    needs = []
    for target, counted in TARGETS.items():
        of, rate = instructions(bundle, target), rates[target]
        total = of.total
        latency = None if total is None else total / rate.per_us
        power = (watts or {}).get(target)
        needs.append(
            Need(
                target=target,
                state_bytes=stream.nbytes_32 if target in SMALL else stream.nbytes,
                model_bytes=engine.nbytes,
                stack_bytes=counted["stack_bytes"],
                instructions=of,
                latency_us=latency,
                rate=rate,
                joules=None if power is None or latency is None else power * latency / 1e6,
                refused="no onnxruntime there" if engine.name != "native" and target in WITHOUT_ORT else "",
            )
        )
    shape = asdict(sampling) | {
        "n_features": len(program.features), "n_labels": len(bundle.manifest.labels), "window_s": window_s
    }  # fmt: skip
    telemetry = bytes_day(**shape)
    return Profile(
        name=f"{bundle.manifest.name} {bundle.manifest.version}",
        digest=bundle.digest,
        engine=engine.name,
        bundle_bytes=bundle_bytes,
        per="a window" if program.channels else "a record",
        window_s=window_s,
        telemetry_bytes_day=telemetry,
        apart_bytes_day=bytes_day(**shape, apart=APART) - telemetry,
        sampling=sampling,
        needs=tuple(needs),
    )


def profile_file(
    path: Path,
    *,
    rates: Mapping[str, Rate] = CLASSES,
    watts: Mapping[str, float] | None = None,
    sampling: Sampling = Sampling(),
    source: str | None = None,
) -> Profile:
    """The same of a bundle's file; with a `source`, its instructions over that, counted on this machine.

    Raises:
        UsageError: Watts of no target; nothing here counts, or the source gave no decision.
        ContractError: It is no bundle, or runs on onnxruntime and is to be counted.
        TrustError: A byte is not what the manifest says.
    """
    from edge_runtime.engines import load_bundle

    bundle = load_bundle(path)
    found = profile(bundle, bundle_bytes=path.stat().st_size, rates=rates, watts=watts, sampling=sampling)
    if source is None:
        return found
    if found.engine != "native":
        raise ContractError(f"--count: {found.name} runs on {found.engine}, which is not counted")
    return replace(found, counted=count(path, source))


def _check_watts(watts: Mapping[str, float]) -> None:
    for target, value in watts.items():
        if target not in TARGETS:
            raise UsageError(f"--watts: {target!r} is no target", hint=f"targets: {', '.join(TARGETS)}")
        if not 0 < value < 1e6:
            raise UsageError(f"--watts: {value:g} of {target} is outside 0..1000000", hint="watts while it computes")


# ---- text


def text(found: Profile) -> str:
    """The table, the rates and the formulas."""
    rows = [("", *(need.target for need in found.needs), "")]
    for label, how, cell in (
        ("state [bytes]", "exact", lambda n: f"{n.state_bytes:,}"),
        ("model [bytes]", "exact", lambda n: f"{n.model_bytes:,}"),
        ("stack [bytes]", "exact: longest chain of calls", lambda n: f"{n.stack_bytes:,}"),
        ("instructions a window", f"estimated from counts, within {WITHIN:.0%}", lambda n: _k(n.instructions.total)),
        ("  features", "", lambda n: _k(n.instructions.features)),
        ("  model", "", lambda n: _k(n.instructions.model)),
        ("  policy and counts", "", lambda n: _k(n.instructions.decision)),
        ("latency [µs]", "estimated: instructions / rate", _latency),
        ("energy of a decision [J]", "estimated: your watts x latency", _joules),
    ):
        rows.append((label, *((n.refused and "-") or cell(n) for n in found.needs), how))
    if all(need.joules is None for need in found.needs):
        rows.pop()
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    table = [
        "  ".join(
            (row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:-1], widths[1:-1], strict=True)), row[-1])
        )
        for row in rows
    ]
    s = found.sampling
    period = f"a period, of at least {s.period_s:g} s and {s.period_windows} decisions"
    return "\n".join(
        (
            f"{found.name}: {found.engine}, a decision {found.per}, every {found.window_s:g} s",
            *(line.rstrip() for line in table),
            *(f"{need.target}: {need.refused}" for need in found.needs if need.refused),
            "",
            *_counted(found),
            f"bundle     {found.bundle_bytes:,} bytes (exact)",
            f"telemetry  {found.telemetry_bytes_day:,} bytes a day: {s.sample_k} records and a summary {period}",
            f"           {found.apart_bytes_day:,} more at most: {APART} records a period for fault, range or shadow",
            *(f"rate       {n.target}: {n.rate.per_us:,.0f} instructions a µs, {n.rate.how}" for n in found.needs),
            *FORMULA,
        )
    )


def _counted(found: Profile) -> list[str]:
    one = found.counted
    if one is None:
        return []
    where = f"here ({one.machine}), of {one.decisions} decisions (exact: valgrind, this installation's core)"
    return [f"counted    {_k(one.instructions)} instructions {found.per} {where}"]


def _k(value: float | None) -> str:
    return "-" if value is None else f"{value / 1000:,.1f} k"


def _latency(need: Need) -> str:
    return "-" if need.latency_us is None else f"{need.latency_us:,.1f}{'' if need.rate.is_measured else ' ~'}"


def _joules(need: Need) -> str:
    return "-" if need.joules is None else f"{need.joules:.3g}"
