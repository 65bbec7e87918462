"""What a program costs before it runs: instructions a window and a record, from the program alone.

One rule: the model is fitted to counts of valgrind (`python -m tools.cost`), never to a time. It holds for x86-64 and
the flags of the wheel, within 30 % where windows have no prime factor above 5 and texts have up to 12 bytes; a test
compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edge_runtime import native
from edge_runtime.contract.program import Feature, Field, Filter, Program
from edge_runtime.features.costs import BASE, FILTERS, RECORD, ROWS, SHARED, WINDOWS

NOTHING = (0.0, 0.0, 0.0, 0.0)
"""An operator that nobody has counted yet."""
RADIX = {2: 1.0, 3: 1.6, 4: 1.6, 5: 3.4}
"""Work of a stage of the transform a sample, by its radix; a larger prime p has p."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Instructions a window, and a record.

    Attributes:
        frames: Taking frames in, finding what is not finite.
        filters: One a derived channel.
        features: One a feature on windows, less what it shares with features before it.
        record: Taking a record in, looking its texts up; 0 without fields.
        fields: One a derived field.
        cells: One a feature on fields.
    """

    frames: float
    filters: tuple[float, ...]
    features: tuple[float, ...]
    record: float
    fields: tuple[float, ...]
    cells: tuple[float, ...]

    @property
    def total(self) -> float:
        """All of a window; its records come on top."""
        return self.frames + sum(self.filters) + sum(self.features)

    @property
    def record_total(self) -> float:
        """All of a record."""
        return self.record + sum(self.fields) + sum(self.cells)


def cost(program: Program) -> Cost:
    """The estimate.

    Raises:
        ContractError: This build cannot run the program.
    """
    features = [feature for feature in program.features if not feature.is_row]
    rows = _Rows.of(program)
    if not program.channels:
        return Cost(frames=0.0, filters=(), features=(), record=rows.record, fields=rows.fields, cells=rows.cells)
    n_series = len(program.channels) + len(program.filters)
    samples = [native.channel_pace(program, place)[1] for place in range(n_series)]
    per_hop = program.hop_frames / program.window_frames
    pushed = sum(n * per_hop for n in samples[: len(program.channels)])
    read = {place for f in features for place in (f.channel, f.other) if place is not None}
    frames = BASE[0] + BASE[1] * pushed + BASE[2] * len(program.channels) + BASE[3] * sum(samples[i] for i in read)
    return Cost(
        frames=frames + BASE[4] * len(read),
        filters=tuple(_filter(each, samples[each.sources[0]] * per_hop) for each in program.filters),
        features=tuple(_feature(features, i, samples[f.channel]) for i, f in enumerate(features)),
        record=rows.record,
        fields=rows.fields,
        cells=rows.cells,
    )


class _Rows(NamedTuple):
    record: float
    fields: tuple[float, ...]
    cells: tuple[float, ...]

    @classmethod
    def of(cls, program: Program) -> _Rows:
        cells = [feature for feature in program.features if feature.is_row]
        texts = [field.kind == "text" for field in program.record]
        once, number, text = RECORD
        return cls(
            once + number * texts.count(False) + text * texts.count(True) if cells else 0.0,
            tuple(_row(program, each, each.sources[0]) for each in program.fields if each.is_derived),
            tuple(_row(program, each, each.channel) for each in cells),
        )


def _row(program: Program, step: Field | Feature, source: int) -> float:
    return step_of(step.op, program.fields[source].kind, len(step.params) + len(step.words))


def step_of(op: int, kind: str, n_list: int) -> float:
    """Instructions of the row operator `op` on a value of `kind`, with so many parameters and words."""
    number, entry, text, text_entry = ROWS.get(op, NOTHING)
    return text + text_entry * n_list if kind == "text" else number + entry * n_list


def _filter(each: Filter, n: float) -> float:
    fixed, sample, of_param, of_source = FILTERS.get(each.op, NOTHING)
    param = max(each.params, default=0.0)
    return fixed + n * (sample + of_param * param + of_source * len(each.sources))


def _feature(features: Sequence[Feature], place: int, n: int) -> float:
    """What it adds to the features before it on the same channel."""
    mine = features[place]
    alone = alone_of(mine.op, n, mine.params)
    shared = SHARED.get(mine.op, {})
    here = [f for f in features[:place] if f.channel == mine.channel and f.other == mine.other]
    before = {f.op for f in here if f.op != mine.op or f.params[1:] == mine.params[1:]}
    return alone * min((shared.get(op, 1.0) for op in before), default=1.0)


def alone_of(op: int, n: int, params: Sequence[float]) -> float:
    """Instructions of the window operator `op` by itself on `n` samples."""
    fixed, sample, stage, of_param = WINDOWS.get(op, NOTHING)
    return fixed + n * (sample + stage * stages(n)) + of_param * (params[0] if params else 0.0)


def stages(n: int) -> float:
    """Work of the transform of n samples, a sample: csrc/er_fft.c takes the radices 4, 2, 3, 5, then any prime."""
    length, work, share = (n, 0.0, 1.0) if n % 2 else (n // 2, 0.0, 0.5)
    while length > 1:
        radix = 4 if length % 4 == 0 else next((p for p in range(2, length) if length % p == 0), length)
        work += RADIX.get(radix, float(radix))
        length //= radix
    return work * share
