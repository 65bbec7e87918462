"""cloud_trainer/profile/counted.py anew: what operators and model steps cost on each target, from instruction counts.

One rule: the shape of a cost is that of the cost model (`edge_runtime.features.cost`, fitted to x86-64); a target adds
how much more each operator executes there than on x86-64, and what each step of a model executes, both counted. So an
operator in double costs what it does on an FPU of single precision. `python -m tests.csrc.calibrate` writes the file
(minutes; valgrind, qemu, the compilers of `make test SYSTEM=1`); NAME ... of targets counts only those anew.
"""

from __future__ import annotations

import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from cloud_trainer.export import steps as op
from cloud_trainer.export.erm import LAYOUTS, erm_bytes
from cloud_trainer.export.trees import Tree
from cloud_trainer.profile import counted
from cloud_trainer.profile.work import work_of
from edge_runtime import firmware, native
from edge_runtime.contract.program import Filter, Program
from edge_runtime.features.reference.row import ROWS
from tests.csrc.cost import budgets
from tests.csrc.counted import count
from tests.csrc.targets import AARCH64, ARMV7, HOST, M4, M33, Target
from tools import cost_rows
from tools.__main__ import formatted
from tools.cost import COUNT, fit, program, taken
from tools.counting import RECORDS

PATH: Final = Path(counted.__file__)
LEAST: Final = 100
"""Instructions from which on a difference says something of an operator; below, it counts as taking frames."""
TARGETS: Final[dict[str, Target]] = {
    "x86-64": HOST,
    "aarch64": AARCH64,
    "armv7": ARMV7,
    "cortex-m4f": M4,
    "cortex-m33": M33,
}
FEATURES: Final = """
int CASE(unsigned times)
{
    const uint64_t frames = program.window + (uint64_t)times * program.hop;
    return er_features_batch(&program, counted_frames, frames, counted_out, er_features_rows(&program, frames),
                             counted_memory, sizeof counted_memory);
}
"""
RECORD: Final = """
int CASE(unsigned times)
{
    er_row *row;
    int status = er_row_init(&row, &rows, counted_memory, sizeof counted_memory);
    for (unsigned t = 0; t < times; t++)
        for (int i = 0; i < RECORDS; i++) status |= er_row_run(row, numbers[i], texts[i], counted_out);
    return status;
}
"""
MODEL: Final = """
int CASE(unsigned times)
{
    er_model model;
    double scores[64];
    int status = er_model_open(&model, bytes, sizeof bytes);
    for (unsigned t = 0; t < times; t++) status |= er_model_run(&model, counted_frames, counted_memory, scores);
    return status;
}
"""
STREAM: Final = """
static const float edges[] = {0, 0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f, 0.7f, 0.8f, 0.9f, 1};
static const er_policy policy = {.n_classes = CLASSES, .k = 1, .n = 1};
int CASE(unsigned times)
{
    er_bins bins[ROWS];
    double scores[CLASSES];
    er_stream *s;
    er_decision d;
    uint32_t taken;
    for (int i = 0; i < ROWS; i++) bins[i] = (er_bins){0.5f, 0.3f, 10, edges};
    for (int i = 0; i < CLASSES; i++) scores[i] = (double)counted_frames[i];
    const er_config config = {.program = &program, .policy = &policy, .bins = WITH ? bins : NULL};
    int status = er_stream_init(&s, &config, counted_memory, sizeof counted_memory);
    for (unsigned t = 0; t < times; t++) {
        if (er_step(s, counted_frames, program.window, &taken, &d) != ER_SCORES) status = 1;
        status |= er_decide(s, scores, &d);
    }
    return status;
}
"""


# ---- cases: (C text, what it measures)


def of_program(each: Program) -> str:
    return firmware._program(each) + FEATURES


def of_record(each: Program) -> str:
    rows = cost_rows.records(each)
    kinds = [field.kind for field in each.record]
    numbers = [[firmware._d(float(v)) for v, kind in zip(r, kinds, strict=True) if kind == "number"] for r in rows]
    texts = [
        [f"{{{firmware._text(str(v).encode())}, {len(str(v))}}}" for v, k in zip(r, kinds, strict=True) if k == "text"]
        for r in rows
    ]
    tables = (
        f"static const double numbers[{RECORDS}][{max(1, len(numbers[0]))}] = {_nested(numbers)};\n"
        f"static const er_text texts[{RECORDS}][{max(1, len(texts[0]))}] = {_nested(texts)};\n"
    )
    return "\n".join([*firmware._record(each), tables]) + RECORD.replace("RECORDS", str(RECORDS))


def _nested(rows: Sequence[Sequence[str]]) -> str:
    return "{" + ", ".join("{" + (", ".join(row) or "0") + "}" for row in rows) + "}"


def of_model(data: bytes) -> str:
    return firmware._lines("_Alignas(8) static const unsigned char bytes", map(str, data)) + MODEL


def of_stream(each: Program, classes: int, *, bins: bool) -> str:
    text = STREAM.replace("CLASSES", str(classes)).replace("ROWS", str(len(each.features) + classes))
    return firmware._program(each) + text.replace("WITH", str(int(bins)))


# ---- features: how many times the instructions of x86-64


def window_cases() -> dict[int, Program]:
    found = {o.id: program([(o.id, o.example)]) for o in native.operators() if o.kind == "window"}
    return {key: each for key, each in found.items() if taken(each)}


def filter_cases() -> dict[int, Program]:
    found = {}
    for o in (o for o in native.operators() if o.kind == "filter"):
        k = o.n_sources[0]
        one = Filter(name="f", op=o.id, sources=tuple(range(k)), params=o.example)
        for n in (240, 480):  # a decimated window must be a whole one
            each = program([(COUNT, ())], n=n, columns=k, filters=[one])
            if taken(each):
                found[o.id] = each
                break
    return found


def nothing_beside(each: Program) -> Program:
    """The same frames and channels, next to no feature."""
    columns = len(each.channels)
    return program([(COUNT, ())], n=each.window_frames, columns=columns, read=1 if each.filters else columns)


def record_cases() -> dict[int, tuple[Program, Program]]:
    """One and several of each operator on fields."""
    found = {}
    for id_, reference in sorted(ROWS.items()):
        case = cost_rows.cases(reference)[0]
        found[id_] = (cost_rows.program(case, 1), cost_rows.program(case, cost_rows.COPIES))
    return found


# ---- models: a step alone


def model_cases() -> list[bytes]:
    made = [erm_bytes(_one(what, n, m)) for what, n, m in (*_matrices(), *_vectors())]
    return made + [erm_bytes(_one(what, n, m), layout) for layout in LAYOUTS for what, n, m in _trees()]


def _one(what: op.Op, n: int, m: int) -> op.Model:
    b = op.Builder(n)
    return b.model(b.new(what, b.features, m), takes_nan=False)


def _matrices() -> list[tuple[op.Op, int, int]]:
    rng, found = np.random.default_rng(0), []
    for n, m in ((6, 3), (8, 16), (32, 16), (64, 64), (64, 8), (150, 32)):
        w = rng.normal(size=(m, n))
        w32, u8 = w.T.astype(np.float32), rng.integers(0, 255, (n, m)).astype(np.uint8)
        zeros, ones = np.zeros(m, np.float32), np.ones(m, np.float32)
        made: list[op.Op] = [op.Dense(weights=w, bias=w[:, 0].copy())]
        made += [op.Dense32(weights=w32, bias=zeros, activation=a) for a in ("identity", "relu", "tanh", "logistic")]
        made += [
            op.Dense8(
                scale_x=0.1,
                zero_x=3,
                scale_y=y,
                zero_y=5 if y else 0,
                scale_w=ones,
                zero_w=u8[0],
                bias=u8[0].astype(np.int32),
                weights=u8,
            )
            for y in (None, 0.5)
        ]
        made += [op.Distance(centres=w, form=f) for f in ("square", "root")]
        made.append(op.Gauss(log_prior=w[:, 0].copy(), mean=w, var=np.abs(w) + 0.1))
        found += [(what, n, m) for what in made]
    return found


def _vectors() -> list[tuple[op.Op, int, int]]:
    found: list[tuple[op.Op, int, int]] = []
    for n in (4, 16, 60):
        ones = np.ones(n)
        curve = (np.linspace(0, 1, 2 * n), np.linspace(0, 1, 2 * n))
        found += [(op.Affine(sub=ones, div=ones), n, n), (op.Affine(sub=ones, mul=ones, div=ones, add=ones), n, n)]
        found += [(op.Affine(add=ones), n, n), (op.Quantise(scale=0.1, zero=3), n, n)]
        found += [(op.Unary(function=f), n, n) for f in ("relu", "tanh", "logistic", "exp", "sqrt", "neg", "exp2")]
        found += [(op.Softmax(), n, n), (op.Normalise(), n, n), (op.Lerp(curves=(curve,) * n), n, n)]
        found += [(op.Blend(weight=np.ones(p), total=p), p * n, n) for p in (2, 6)]
        found += [(op.Vote(weight=np.ones(p)), p * n, n) for p in (2, 6)]
        found.append((op.Pick(index=tuple(range(n))), 64, n))
    return [*found, (op.Pair(), 1, 2)]


def _trees() -> list[tuple[op.Op, int, int]]:
    found: list[tuple[op.Op, int, int]] = []
    for n_trees, depth, width in ((8, 3, 1), (40, 6, 1), (12, 6, 3), (3, 5, 2), (13, 2, 4), (24, 4, 5)):
        trees = tuple(_perfect(depth, width, seed) for seed in range(n_trees))
        for is_float32 in (False, True):
            what = op.Trees(trees=trees, column=(0,) * n_trees, base=np.zeros(width), is_float32=is_float32)
            found.append((what, 20, width))
    return found


def _perfect(depth: int, width: int, seed: int) -> Tree:
    """A tree whose leaves all lie at `depth`, in the order of the format."""
    rng = np.random.default_rng(seed)
    feature: list[int] = []
    right: list[int] = []

    def grow(level: int) -> None:
        at = len(feature)
        feature.append(-1 if level == depth else int(rng.integers(20)))
        right.append(0)
        if level < depth:
            grow(level + 1)
            right[at] = len(feature)
            grow(level + 1)

    grow(0)
    n = len(feature)
    return Tree(
        feature=np.array(feature),
        threshold=rng.uniform(-0.5, 1.5, n).astype(np.float32),
        right=np.array(right),
        missing_left=np.zeros(n, bool),
        value=rng.normal(size=(n, width)),
    )


def step_fits(models: Sequence[bytes], counts: Sequence[float]) -> dict[str, tuple[float, ...]]:
    """Kind of step -> instructions of each unit of its work, and those of a run under ""."""
    row = np.frombuffer(_row(), np.float32)
    n_features = [native.Model(each).n_features for each in models]
    works = [work_of(each, [row[:n].tolist()]) for each, n in zip(models, n_features, strict=True)]
    run = [(1.0, float(n)) for n in n_features]
    picks = [i for i, work in enumerate(works) if work[0].kind == "pick"]
    columns = [(*run[i], works[i][0].units[2]) for i in picks]
    once, feature, value = fit(columns, [counts[i] for i in picks])
    found: dict[str, tuple[float, ...]] = {"": (once, feature)}
    for kind in sorted({work[0].kind for work in works}):
        mine = [i for i, work in enumerate(works) if work[0].kind == kind]
        nets = [max(counts[i] - once - feature * run[i][1], 1.0) for i in mine]
        found[kind] = fit([works[i][0].units for i in mine], nets)
    return found | {"pick": (0.0, 0.0, value)}


def _row() -> bytes:
    """The first values of `counted_frames`, as counted.py makes them."""
    rng, values = 1, []
    for _ in range(1024):
        rng = (rng * 6364136223846793005 + 1442695040888963407) % 2**64
        values.append((rng >> 40) / 8388608.0 - 0.5)
    return np.array(values, np.float32).tobytes()


# ---- all of it


def measure(target: Target, host: Mapping[str, Sequence[float]] | None, out: Path) -> tuple[dict[str, Any], Any]:
    """(the entry of `target`, its counts, which are the `host` of the others)."""
    windows, filters, records, models = window_cases(), filter_cases(), record_cases(), model_cases()
    on_windows = [*windows.values(), *filters.values()]
    beside = list({_key(nothing_beside(each)): nothing_beside(each) for each in on_windows}.values())
    few, many = program([(COUNT, ())], n=8), program([(COUNT, ())] * 24, n=8)
    streams = [(p, c, b) for p in (few, many) for c in (2, 8) for b in (False, True)]
    groups: dict[str, list[str]] = {
        "programs": [of_program(each) for each in [*beside, *on_windows]],
        "records": [of_record(each) for pair in records.values() for each in pair],
        "models": [of_model(each) for each in models],
        "streams": [of_stream(p, c, bins=b) for p, c, b in streams] + [of_program(p) for p in (few, many)],
    }
    flat = iter(count(target, [case for cases in groups.values() for case in cases], out))
    counts = {name: [next(flat) for _ in cases] for name, cases in groups.items()}
    base = host or counts
    key_of = {_key(each): i for i, each in enumerate(beside)}
    frames = round(counts["programs"][0] / base["programs"][0], 3)
    ratio = {}
    for i, (id_, each) in enumerate((windows | filters).items()):
        net, there = (
            group["programs"][len(beside) + i] - group["programs"][key_of[_key(nothing_beside(each))]]
            for group in (counts, base)
        )
        ratio[id_] = round(net / there, 3) if min(net, there) > LEAST else frames
    rows = {}
    for i, id_ in enumerate(records):
        net, there = (group["records"][2 * i + 1] - group["records"][2 * i] for group in (counts, base))
        rows[id_] = round(max(net, 1.0) / max(there, 1.0), 3)
    of_few, of_many = counts["streams"][-2:]
    nets = [c - (of_many if p is many else of_few) for (p, *_), c in zip(streams, counts["streams"], strict=False)]
    units = [(1, c, (len(p.features) + c) * b) for p, c, b in streams]
    ids = list(records)
    value = ids.index(cost_rows.MISSING)
    entry = {
        "frames": frames,
        "record": round(counts["records"][2 * value] / base["records"][2 * value], 3),
        "operators": ratio | rows if host else {},
        "stream": fit(units, [max(net, 1.0) for net in nets]),
        "steps": step_fits(models, counts["models"]),
    }
    return entry, counts


def _key(each: Program) -> tuple[int, ...]:
    return (each.window_frames, len(each.channels), len(each.features))


def text(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """The module."""
    gates = budgets()
    lines = [
        '"""What targets execute and hold, counted. Generated by `python -m tests.csrc.calibrate`: do not edit."""',
        "",
        "# fmt: off",
        "from typing import Any, Final",
        "",
        "TARGETS: Final[dict[str, dict[str, Any]]] = {",
    ]
    for name, entry in entries.items():
        gate = gates[TARGETS[name].name]
        whole = {"stack_bytes": gate.stack_bytes, "standard_window": gate.instructions, **entry}
        lines += [f"    {name!r}: {{", *(f"        {key!r}: {_wrapped(value)}," for key, value in whole.items())]
        lines.append("    },")
    lines += [
        "}",
        '"""By target: longest chain of calls [bytes]; instructions of the standard window (`edge-runtime selftest`);',
        "times the instructions of x86-64, of taking frames, of taking a record, of each operator; instructions of a",
        "decision (once, a score, a value in the summary); of each unit of work of a kind of step (`work`), and under",
        '"" of a run of a model (once, a feature)."""',
    ]
    return "\n".join(lines) + "\n"


def _wrapped(value: Any) -> str:
    """A dict of tuples with a line each; one of numbers in lines."""
    if not isinstance(value, dict):
        return repr(value)
    items = [f"{key!r}: {each!r}," for key, each in value.items()]
    if any(isinstance(each, tuple) for each in value.values()):
        return "\n".join(["{", *(f"            {item}" for item in items), "        }"])
    whole = " ".join(item.replace(" ", "_") for item in items)
    rest = textwrap.fill(whole, 116, initial_indent=" " * 12, subsequent_indent=" " * 12).replace("_", " ")
    return "{\n" + rest + "\n        }" if items else "{}"


def main() -> int:
    """Write the table."""
    wanted = sys.argv[1:] or list(TARGETS)
    entries: dict[str, Any] = {
        name: {k: v for k, v in counted.TARGETS[name].items() if k not in ("stack_bytes", "standard_window")}
        for name in TARGETS
        if name in counted.TARGETS
    }
    with tempfile.TemporaryDirectory() as folder:
        host = None
        for name in dict.fromkeys(["x86-64", *wanted]):
            entries[name], counts = measure(TARGETS[name], host, Path(folder) / name)
            host = host or counts
            done = {name: entries[name] for name in TARGETS if name in entries}
            PATH.write_text(formatted(text(done)), encoding="utf-8")
            print(f"{name}: counted", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
