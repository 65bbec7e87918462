"""The bundle manifest: what a device must know before it runs a model. See FORMAT.md section "manifest".

One rule: the bundle's digest is the SHA-256 of these bytes, so they hold no time of making and no signature.
"""

from __future__ import annotations

import re

from edge_runtime.contract.checks import (
    SAFE,
    count,
    digest,
    ident,
    integer,
    integers,
    none_left,
    one_of,
    take,
    text,
    unique,
    wrong,
)
from edge_runtime.contract.document import read_json, write_json
from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, Final, TypeVar, dataclass, field, items_of, sha256

P = TypeVar("P")

CHUNK_BYTES: Final = 65536
"""Members are hashed in pieces of this size, so that a bad byte is found before the next piece is fetched."""
MAX_MEMBER_BYTES: Final = 2**33 - 1
MAX_CLASSES: Final = 64
MAX_VOTES: Final = 16
ENGINES: Final = ("native", "onnxruntime")
TASKS: Final = ("labels", "values")
PRECISIONS: Final = ("float64", "float32", "int8")
REQUIRED: Final = ("program.json", "model.onnx", "baseline.json", "golden.json")
"""Members of every bundle."""
NATIVE: Final = ("model.erm", "model.erf")
"""What a native bundle has one of as well: any model, or (older bundles) a forest."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """From scores to a label: threshold, then `k` of the last `n` windows, then hold.

    Attributes:
        thresholds_ppm: Least score of a vote, one a class, 0..1000000; 0: any, negative ones too.
        k: Votes that a label needs, 1..n.
        n: Windows that vote, 1..16.
        hold_windows: Windows that a new label stays at least, 0..65535.
    """

    thresholds_ppm: tuple[int, ...]
    k: int = 1
    n: int = 1
    hold_windows: int = 0

    def __post_init__(self) -> None:
        count(len(self.thresholds_ppm), "manifest.policy.thresholds_ppm", low=1, high=MAX_CLASSES)
        integers(self.thresholds_ppm, "manifest.policy.thresholds_ppm", high=1_000_000)
        integer(self.n, "manifest.policy.n", low=1, high=MAX_VOTES)
        integer(self.k, "manifest.policy.k", low=1, high=self.n)
        integer(self.hold_windows, "manifest.policy.hold_windows", high=65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file in the bundle.

    Attributes:
        name: `[a-z0-9][a-z0-9._-]{0,63}`, not `manifest.json` or `signatures.json`.
        length: 1..2^33-1 [bytes].
        sha256: Of all its bytes.
        chunks: SHA-256 of each 64 KiB, the last one shorter.
    """

    name: str
    length: int
    sha256: str
    chunks: tuple[str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise wrong("manifest.members.name", _NAME.pattern, self.name)
        if self.name in ("manifest.json", "signatures.json"):
            raise ContractError(f"manifest.members.name: {self.name!r} is reserved")
        what = f"manifest.members.{self.name}"
        integer(self.length, f"{what}.length", low=1, high=MAX_MEMBER_BYTES)
        digest(self.sha256, f"{what}.sha256")
        want = -(-self.length // CHUNK_BYTES)
        if len(self.chunks) != want:
            raise ContractError(f"{what}.chunks: want {want} for {self.length} bytes, got {len(self.chunks)}")
        for chunk in self.chunks:
            digest(chunk, f"{what}.chunks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where the model came from.

    Attributes:
        dataset: Name of the dataset, 1..128 characters.
        dataset_version: 1 or more.
        dataset_digest: SHA-256 of its content.
        run_id: Of the training run, 1..128 characters.
    """

    dataset: str
    dataset_version: int
    dataset_digest: str
    run_id: str

    def __post_init__(self) -> None:
        text(self.dataset, "manifest.lineage.dataset", high=128)
        integer(self.dataset_version, "manifest.lineage.dataset_version", low=1)
        digest(self.dataset_digest, "manifest.lineage.dataset_digest")
        text(self.run_id, "manifest.lineage.run_id", high=128)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What the bundle says it needs.

    Attributes:
        state_bytes: Stream state in the core [bytes].
        model_bytes: The model as loaded from its member [bytes].
        memory_bytes: Peak over a bare interpreter, all included [bytes].
        latency_us: From the last frame of a window to its decision, p99 [µs].
        record_bytes_day: Telemetry [bytes/day].
    """

    state_bytes: int
    model_bytes: int
    memory_bytes: int
    latency_us: int
    record_bytes_day: int

    def __post_init__(self) -> None:
        for name, value in items_of(self).items():
            integer(value, f"manifest.budget.{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One description of one model bundle.

    Attributes:
        name: Id of the model.
        version: 1 or more.
        labels: 1..64 names of the labels, or of the values; unique, in the order of the scores.
        program_digest: Of the feature program; equals the SHA-256 of member `program.json`.
        engine: "native" or "onnxruntime".
        precision: "float64", "float32" or "int8".
        policy: One threshold a label.
        lineage: Where the model came from.
        budget: What it needs.
        evidence: Rows of the parity table, JSON values.
        members: 1..16 files in the order of the container.
        task: "labels": the policy decides from the scores; "values": the scores are the answer.
        extra: Fields of a newer minor version.
    """

    name: str
    version: int
    labels: tuple[str, ...]
    program_digest: str
    engine: str
    precision: str
    policy: Policy
    lineage: Lineage
    budget: Budget
    evidence: tuple[dict[str, Any], ...]
    members: tuple[Member, ...]
    task: str = "labels"
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ident(self.name, "manifest.name")
        integer(self.version, "manifest.version", low=1)
        count(len(self.labels), "manifest.labels", low=1, high=MAX_CLASSES)
        for label in self.labels:
            text(label, "manifest.labels")
        unique(self.labels, "manifest.labels")
        digest(self.program_digest, "manifest.program_digest")
        one_of(self.engine, "manifest.engine", ENGINES)
        one_of(self.precision, "manifest.precision", PRECISIONS)
        one_of(self.task, "manifest.task", TASKS)
        if len(self.policy.thresholds_ppm) != len(self.labels):
            raise ContractError(
                f"manifest.policy.thresholds_ppm: want {len(self.labels)} (one a label), "
                f"got {len(self.policy.thresholds_ppm)}"
            )
        count(len(self.evidence), "manifest.evidence", high=1024)
        self._check_members()

    def _check_members(self) -> None:
        count(len(self.members), "manifest.members", low=1, high=16)
        names = [member.name for member in self.members]
        unique(names, "manifest.members")
        native = next((name for name in NATIVE if name in names), NATIVE[0])
        for name in (*REQUIRED, *((native,) if self.engine == "native" else ())):
            if name not in names:
                raise ContractError(f"manifest.members: {name!r} is missing (engine {self.engine})")
        program = self.members[names.index("program.json")]
        if program.sha256 != self.program_digest:
            raise wrong("manifest.program_digest", f"{program.sha256} (of program.json)", self.program_digest)

    @property
    def digest(self) -> str:
        """The bundle's digest: SHA-256 of the bytes, 64 hex digits."""
        return sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """Canonical JSON. Equal manifests give equal bytes."""
        known = {
            "name": self.name,
            "version": self.version,
            "labels": self.labels,
            "program_digest": self.program_digest,
            "engine": self.engine,
            "precision": self.precision,
            "policy": items_of(self.policy),
            "lineage": items_of(self.lineage),
            "budget": items_of(self.budget),
            "evidence": self.evidence,
            "members": [items_of(member) for member in self.members],
        }
        task = {} if self.task == "labels" else {"task": self.task}
        return write_json("manifest", known | task, self.extra)

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Decode and check every field.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        known = read_json(data, "manifest")

        def take_part(key: str, kind: type[P]) -> P:
            return _part(take(known, key, dict, what="manifest"), kind, f"manifest.{key}")

        def take_list(key: str, kind: type[P], high: int) -> tuple[P, ...]:
            items = take(known, key, list, what="manifest", high=high)
            for item in items:
                if not isinstance(item, kind):
                    raise wrong(f"manifest.{key}", f"{kind.__name__} in the list", item)
            return tuple(items)

        return cls(
            name=take(known, "name", str, what="manifest"),
            version=take(known, "version", int, what="manifest", low=1, high=SAFE),
            labels=take_list("labels", str, MAX_CLASSES),
            program_digest=take(known, "program_digest", str, what="manifest"),
            engine=take(known, "engine", str, what="manifest"),
            precision=take(known, "precision", str, what="manifest"),
            policy=take_part("policy", Policy),
            lineage=take_part("lineage", Lineage),
            budget=take_part("budget", Budget),
            evidence=take_list("evidence", dict, 1024),
            task=_task(known),
            members=tuple(_part(m, Member, "manifest.members") for m in take_list("members", dict, 16)),
            extra=known,
        )


def _task(known: dict[str, Any]) -> str:
    if "task" not in known:
        return "labels"
    task: str = take(known, "task", str, what="manifest")
    if task == "labels":
        raise wrong("manifest.task", "left out where it is 'labels'", task)
    return task


def _part(found: dict[str, Any], kind: type[P], what: str) -> P:
    """A flat dataclass from an object with exactly its fields; `kind` checks their types and ranges."""
    given: dict[str, Any] = {}
    for name, annotation in kind.__annotations__.items():
        value: Any = take(found, name, object, what=what)
        given[name] = tuple(value) if isinstance(value, list) else value
        if annotation.startswith("tuple") and not isinstance(value, list):
            raise wrong(f"{what}.{name}", "list", value)
    none_left(found, what)
    return kind(**given)
