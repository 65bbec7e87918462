"""The baseline: features and scores at training, in frozen bins. See FORMAT.md section "baseline".

One rule: edges are the same in every stratum and exact in float32, for the device counts into them.
"""

from __future__ import annotations

from edge_runtime.contract.checks import (
    count,
    float32s,
    integer,
    integers,
    none_left,
    positive,
    real,
    reals,
    take,
    text,
    unique,
    wrong,
)
from edge_runtime.contract.document import read_json, write_json
from edge_runtime.errors import ContractError
from edge_runtime.lean import Any, Final, dataclass, field

MAX_BINS: Final = 64
MAX_STRATA: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """Counts of one feature or score; bin b holds edges[b] <= x < edges[b+1], the last its upper edge too.

    Attributes:
        name: As in the program, or the label whose score it is; 1..128 characters.
        edges: n_bins + 1 values, strictly ascending, exact in float32 [unit of the feature]; n_bins 1..64.
        counts: n_bins + 2: below, bins, above.
        n_nan: Values that were NaN.
        centre: z = (x - centre) / scale, exact in float32.
        scale: > 0, exact in float32.
        lag1: Autocorrelation of neighbouring windows, -1..1.
    """

    name: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    n_nan: int
    centre: float
    scale: float
    lag1: float

    def __post_init__(self) -> None:
        text(self.name, "baseline.bins.name", high=128)
        what = f"baseline.{self.name}"
        count(len(self.edges), f"{what}.edges", low=2, high=MAX_BINS + 1)
        float32s(self.edges, f"{what}.edges")
        if any(a >= b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            raise wrong(f"{what}.edges", "strictly ascending", self.edges)
        if len(self.counts) != len(self.edges) + 1:
            raise ContractError(f"{what}.counts: want {len(self.edges) + 1} (edges + 1), got {len(self.counts)}")
        integers(self.counts, f"{what}.counts")
        integer(self.n_nan, f"{what}.n_nan")
        float32s((self.centre, self.scale), f"{what}.centre, scale")
        positive(self.scale, f"{what}.scale")
        real(self.lag1, f"{what}.lag1", low=-1, high=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """The windows of one kind of hour, or all of them.

    Attributes:
        name: "all" for the first, 1..64 characters.
        n_windows: Windows counted.
        features: One a feature of the program, in its order.
        scores: One a label of the manifest, in its order.
        label_counts: Windows by decided label, abstain last.
    """

    name: str
    n_windows: int
    features: tuple[Bins, ...]
    scores: tuple[Bins, ...]
    label_counts: tuple[int, ...]

    def __post_init__(self) -> None:
        text(self.name, "baseline.strata.name")
        what = f"baseline.strata.{self.name}"
        integer(self.n_windows, f"{what}.n_windows")
        count(len(self.features), f"{what}.features", low=1, high=1024)
        count(len(self.scores), f"{what}.scores", low=1, high=64)
        unique([bins.name for bins in self.features], f"{what}.features")
        unique([bins.name for bins in self.scores], f"{what}.scores")
        count(len(self.label_counts), f"{what}.label_counts", low=1, high=65)
        integers(self.label_counts, f"{what}.label_counts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Strata of one bundle.

    Attributes:
        strata: 1..64, names unique; the first is "all".
        extra: Fields of a newer minor version.
    """

    strata: tuple[Stratum, ...]
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        count(len(self.strata), "baseline.strata", low=1, high=MAX_STRATA)
        first = self.strata[0]
        if first.name != "all":
            raise wrong("baseline.strata.name", "'all' first", first.name)
        unique([stratum.name for stratum in self.strata], "baseline.strata")
        for stratum in self.strata[1:]:
            if _shape(stratum) != _shape(first):
                raise ContractError(f"baseline.strata.{stratum.name}: names, edges, centre and scale differ from 'all'")

    def to_bytes(self) -> bytes:
        """Canonical JSON. Equal baselines give equal bytes."""
        strata = [
            {
                "name": s.name,
                "n_windows": s.n_windows,
                "features": [_fields(bins) for bins in s.features],
                "scores": [_fields(bins) for bins in s.scores],
                "label_counts": s.label_counts,
            }
            for s in self.strata
        ]
        return write_json("baseline", {"strata": strata}, self.extra)

    @classmethod
    def from_bytes(cls, data: bytes) -> Baseline:
        """Decode and check every field.

        Raises:
            ContractError: With the field, the value found and the value wanted.
        """
        fields = read_json(data, "baseline")
        strata = take(fields, "strata", list, what="baseline", high=MAX_STRATA)
        return cls(strata=tuple(map(_stratum, strata)), extra=fields)


def _shape(stratum: Stratum) -> list[list[tuple[object, ...]]]:
    return [[(b.name, b.edges, b.centre, b.scale) for b in part] for part in (stratum.features, stratum.scores)]


def _fields(bins: Bins) -> dict[str, Any]:
    return {
        "name": bins.name,
        "edges": bins.edges,
        "counts": bins.counts,
        "n_nan": bins.n_nan,
        "centre": bins.centre,
        "scale": bins.scale,
        "lag1": bins.lag1,
    }


def _stratum(value: object) -> Stratum:
    what = "baseline.strata"
    if not isinstance(value, dict):
        raise wrong(what, "object", value)
    stratum = Stratum(
        name=take(value, "name", str, what=what),
        n_windows=take(value, "n_windows", int, what=what),
        features=tuple(map(_bins, take(value, "features", list, what=what, high=1024))),
        scores=tuple(map(_bins, take(value, "scores", list, what=what, high=64))),
        label_counts=tuple(take(value, "label_counts", list, what=what, high=65)),
    )
    none_left(value, f"{what}.{stratum.name}")
    return stratum


def _bins(value: object) -> Bins:
    what = "baseline.bins"
    if not isinstance(value, dict):
        raise wrong(what, "object", value)
    bins = Bins(
        name=take(value, "name", str, what=what),
        edges=reals(take(value, "edges", list, what=what, high=MAX_BINS + 1), f"{what}.edges"),
        counts=tuple(take(value, "counts", list, what=what, high=MAX_BINS + 2)),
        n_nan=take(value, "n_nan", int, what=what),
        centre=take(value, "centre", float, what=what),
        scale=take(value, "scale", float, what=what),
        lag1=take(value, "lag1", float, what=what),
    )
    none_left(value, f"baseline.{bins.name}")
    return bins
