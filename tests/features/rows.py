"""Row programs at random, and records for them. One rule: whatever is made here is a program that the core takes."""

from __future__ import annotations

import random

from edge_runtime.contract.program import Feature, Field, Program
from edge_runtime.features.reference.row import ROWS, RowReference, Value

TEXTS = (
    "red",
    "blue",
    "",
    "größer als fünfzehn Bytes",
    "a" * 16,
    "a" * 17,
    "a" * 17 + "b",
    "x\0y",
    "\x7f",
    "日本語のテキスト",
)
BY_SERIES = {op.name for op in ROWS.values() if op.tolerance.rtol}
"""Their last bit may differ from libm's."""
NUMBERS = (
    0.0, -0.0, 0.25, 1.0, -1.0, 1e-310, -1e300, 1e39, 3.4e38, float("inf"), float("-inf"),
    1.7e12, 1732345678901.0, -1.0e12, 8.64e15, 9e15, -0.3, 0.7,
)  # fmt: skip


def program(fields: tuple[Field, ...], features: tuple[Feature, ...]) -> Program:
    """A program of records alone."""
    return Program(rate_hz=1.0, channels=(), window_frames=1, hop_frames=1, fields=fields, features=features)


def one(op: int, kind: str, params: tuple[float, ...] = (), words: tuple[str, ...] = (), n_sources: int = 1) -> Program:
    """One operator on one field (two where it takes two)."""
    fields = tuple(Field(name=f"f{i}", kind=kind) for i in range(n_sources))
    other = 1 if n_sources == 2 else None
    return program(fields, (Feature(name="y", op=op, channel=0, other=other, params=params, words=words),))


def call(rng: random.Random, kinds: list[str], *, cell: bool) -> tuple[RowReference, tuple[int, ...], str]:
    """An operator that takes one of these values, its sources, and the kind that it gives."""
    while True:
        op, source = rng.choice(list(ROWS.values())), rng.randrange(len(kinds))
        kind = kinds[source]
        gives = kind if op.name.startswith("impute") else "number"
        if op.takes not in {kind, "both"} or (cell and gives == "text"):
            continue
        if op.name in BY_SERIES and not cell:  # a last bit that differs may grow in what follows
            continue
        numbers = [i for i, each in enumerate(kinds) if each == "number"]
        more = (rng.choice(numbers),) if op.n_sources == 2 else ()
        return op, (source, *more), gives


def lists(rng: random.Random, op: RowReference, kind: str) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Parameters and words that it takes."""
    return rng.choice(op.tries if kind == "number" else op.text_tries)


def make(seed: int) -> Program:
    """A program with chains of derived fields."""
    rng = random.Random(seed)
    kinds = [rng.choice(("number", "text")) for _ in range(rng.randint(1, 6))]
    fields = [Field(name=f"f{i}", kind=kind) for i, kind in enumerate(kinds)]
    for i in range(rng.randint(0, 6)):
        op, sources, gives = call(rng, kinds, cell=False)
        params, words = lists(rng, op, kinds[sources[0]])
        made = {"op": op.id, "sources": sources, "params": params, "words": words}
        fields.append(Field(name=f"d{i}", kind=gives, **made))  # type: ignore[arg-type]
        kinds.append(gives)
    features = []
    for i in range(rng.randint(1, 12)):
        op, sources, _ = call(rng, kinds, cell=True)
        params, words = lists(rng, op, kinds[sources[0]])
        other = sources[1] if len(sources) == 2 else None
        features.append(Feature(name=f"y{i}", op=op.id, channel=sources[0], other=other, params=params, words=words))
    return program(tuple(fields), tuple(features))


def records(seed: int, made: Program, n: int) -> list[list[Value]]:
    """Records with missing, hostile and ordinary values."""
    rng = random.Random(seed)

    def value(kind: str) -> Value:
        if rng.random() < 0.2:
            return rng.choice((None, float("nan"))) if kind == "number" else None
        if kind == "text":
            return rng.choice(TEXTS)
        return rng.choice(NUMBERS) if rng.random() < 0.4 else rng.gauss(0, 1)

    return [[value(field.kind) for field in made.record] for _ in range(n)]
