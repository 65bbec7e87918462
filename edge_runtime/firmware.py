"""A bundle as C: one source and one header that a firmware links beside the core (csrc/, `make -C csrc lib`).

One rule: the constants are those that Python hands to the core, so board and gateway give the same bits. Everything
lies in flash but the stream's own memory, which the firmware gives.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Sequence

from edge_runtime.contract.program import Field
from edge_runtime.engines import open_engine, program_of, stream_for
from edge_runtime.errors import ContractError
from edge_runtime.lean import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge_runtime.contract.baseline import Bins
    from edge_runtime.contract.bundle import Bundle
    from edge_runtime.contract.program import Feature, Program

WIDTH: Final = 16  # bytes, or values, of a line
MODELS: Final = ("model.erm", "model.erf")


def export_c(bundle: Bundle, *, summary: bool = True) -> dict[str, str]:
    """The two files of a bundle by name, `NAME.h` and `NAME.c`.

    Args:
        bundle: As loaded; its model has a native form.
        summary: With the frozen bins, so that the stream counts what telemetry sends; False saves their memory.

    Raises:
        ContractError: The bundle runs on onnxruntime alone, or this build cannot run it.
    """
    if bundle.manifest.engine != "native":
        raise ContractError(
            f"bundle {bundle.manifest.name} runs on {bundle.manifest.engine}, which no firmware holds",
            hint="export an estimator with a native form: cloud-trainer export says which engine it chose, and why",
        )
    name = re.sub(r"[^a-z0-9]", "_", bundle.manifest.name)
    name = name if name[0].isalpha() else f"m_{name}"
    return {f"{name}.h": _header(bundle, name, summary=summary), f"{name}.c": _source(bundle, name, summary=summary)}


def _told(bundle: Bundle) -> str:
    manifest = bundle.manifest
    return f"bundle {manifest.name} version {manifest.version}, {bundle.digest}"


def _header(bundle: Bundle, name: str, *, summary: bool) -> str:
    program, big = program_of(bundle), name.upper()
    stream = stream_for(bundle, open_engine(bundle), summary=summary)
    return f"""\
/* {name}.h - {_told(bundle)}.
 * Made by `edge-runtime export-c`; changes belong into the bundle. */
#ifndef {big}_H
#define {big}_H

#include "edge.h"

enum {{
    {big}_CHANNELS = {len(program.channels)},
    {big}_FIELDS = {len(program.record)},
    {big}_FEATURES = {len(program.features)},
    {big}_LABELS = {len(bundle.manifest.labels)},
    {big}_WINDOW = {program.window_frames}, /* frames */
    {big}_HOP = {program.hop_frames},
    {big}_BYTES = sizeof(void *) == 4 ? {stream.nbytes_32} : {stream.nbytes} /* of a stream */
}};

extern const char *const {name}_labels[{big}_LABELS];

/* A stream in mem[{big}_BYTES] (8-byte aligned), which er_step() takes frames into. Checks program and model, and asks
 * the model the bundle's golden rows: ER_EMISMATCH where a score has other bits than where it was exported. */
er_status {name}_open(er_stream **out, void *mem, size_t size);

#endif
"""


def _source(bundle: Bundle, name: str, *, summary: bool) -> str:
    program, policy = program_of(bundle), bundle.manifest.policy
    stratum = bundle.baseline().strata[0]
    bins = (*stratum.features, *stratum.scores) if summary else ()
    member = next(member for member in MODELS if member in bundle.members)
    labels = ", ".join(_text(label.encode()) for label in bundle.manifest.labels)
    parts = [
        f"/* {name}.c - {_told(bundle)}. */",
        f'#include <string.h>\n\n#include "{name}.h"',
        f"const char *const {name}_labels[{name.upper()}_LABELS] = {{{labels}}};",
        _program(program),
        *_record(program),
        _one(
            "er_policy policy",
            n_classes=len(policy.thresholds_ppm),
            k=policy.k,
            n=policy.n,
            hold=policy.hold_windows,
            threshold_ppm=_group(policy.thresholds_ppm),
        ),
        *_bins(bins),
        _lines("_Alignas(8) static const unsigned char model_bytes", map(str, bundle.members[member])),
        _golden(bundle),
        _open(name, has_rows=any(f.is_row for f in program.features), has_bins=bool(bins)),
    ]
    return "\n\n".join(parts) + "\n"


# ---- parts ----


def _program(program: Program) -> str:
    on_windows = [feature for feature in program.features if not feature.is_row]
    channels = [_group((_f(c.scale), _f(c.offset), c.every, _taper(c.taper))) for c in program.channels]
    filters = [
        _group((f.op, _taper(f.taper), len(f.sources), _group(f.sources), _group(map(_f, f.params))))
        for f in program.filters
    ]
    features = [_group((f.op, f.channel, f.other or 0, 0, _group(map(_f, f.params)))) for f in on_windows]
    whole = _one(
        "er_program program",
        rate_hz=_f(program.rate_hz),
        n_channels=len(channels),
        window=program.window_frames,
        hop=program.hop_frames,
        n_features=len(features),
        n_filters=len(filters),
        channels=_or_null("channels", channels),
        features=_or_null("features", features),
        filters=_or_null("filters", filters),
        timing=_group((f"ER_TIME_{program.timing.policy.upper()}", "{0}", program.timing.most_frames)),
    )
    tables = {"er_channel channels": channels, "er_filter filters": filters, "er_feature features": features}
    return "\n".join([*(_table(what, rows) for what, rows in tables.items() if rows), whole])


def _taper(name: str) -> str:
    return f"ER_TAPER_{name.upper()}"


def _record(program: Program) -> list[str]:
    """The steps over a record; nothing where no feature reads a field."""
    stages = [field for field in program.fields if field.is_derived]
    cells = [feature for feature in program.features if feature.is_row]
    if not cells:
        return []
    steps: list[Field | Feature] = [*stages, *cells]
    lists, rows = [], []
    for i, step in enumerate(steps):
        source, other = (*_sources(step), 0)[:2]
        words = [_group((_text(word.encode()), len(word.encode()))) for word in step.words]
        if step.params:
            lists.append(f"static const double params_{i}[] = {_group(map(_d, step.params))};")
        if words:
            lists.append(f"static const er_text words_{i}[] = {_group(words)};")
        row = (step.op, source, other, 0, len(step.params), len(words))
        rows.append(_group((*row, _or_null(f"params_{i}", step.params), _or_null(f"words_{i}", words))))
    whole = _one(
        "er_row_program rows",
        n_fields=len(program.record),
        n_stages=len(stages),
        n_cells=len(cells),
        fields="fields",
        stages="steps",
        cells=f"steps + {len(stages)}",
    )
    fields = [_group((f"ER_{field.kind.upper()}", 0)) for field in program.record]
    return ["\n".join((*lists, _table("er_field fields", fields), _table("er_cell steps", rows), whole))]


def _sources(step: Field | Feature) -> tuple[int, ...]:
    if isinstance(step, Field):
        return step.sources
    return (step.channel,) if step.other is None else (step.channel, step.other)


def _bins(bins: Sequence[Bins]) -> list[str]:
    if not bins:
        return []
    edges = [_lines(f"static const float edges_{i}", map(_f, row.edges)) for i, row in enumerate(bins)]
    rows = [_group((_f(row.centre), _f(row.scale), len(row.edges) - 1, f"edges_{i}")) for i, row in enumerate(bins)]
    return ["\n".join((*edges, _table("er_bins bins", rows)))]


def _golden(bundle: Bundle) -> str:
    """Rows and the bits of their scores."""
    golden = bundle.golden()
    rows = [value for row in golden.features for value in row]
    scores = [f"0x{bits:016x}u" for bits in memoryview(array("d", sum(golden.scores, ()))).cast("B").cast("Q")]
    return "\n".join(
        (
            f"enum {{ GOLDEN_ROWS = {len(golden.features)}, FEATURES = {len(golden.features[0])}, "
            f"SCORES = {len(golden.scores[0])} }};",
            _lines("static const float golden_rows", map(_f, rows)),
            _lines("static const uint64_t golden_scores", scores),
        )
    )


def _open(name: str, *, has_rows: bool, has_bins: bool) -> str:
    return f"""\
static er_model model;
static const er_config config = {{.program = &program, .policy = &policy, .bins = {"bins" if has_bins else "NULL"}, \
.model = &model, .rows = {"&rows" if has_rows else "NULL"}}};

static er_status check(void *scratch)
{{
    double scores[SCORES];
    for (size_t i = 0; i < GOLDEN_ROWS; i++) {{
        const er_status status = er_model_run(&model, golden_rows + i * FEATURES, scratch, scores);
        if (status != ER_OK) return status;
        if (memcmp(scores, golden_scores + i * SCORES, sizeof scores) != 0) return ER_EMISMATCH;
    }}
    return ER_OK;
}}

er_status {name}_open(er_stream **out, void *mem, size_t size)
{{
    er_status status = er_model_open(&model, model_bytes, sizeof model_bytes);
    if (status != ER_OK) return status;
    if (!mem || (uintptr_t)mem % 8) return ER_EINVAL;
    if (size < er_model_size(&model)) return ER_ENOSPC;
    status = check(mem);
    return status == ER_OK ? er_stream_init(out, &config, mem, size) : status;
}}"""


# ---- C ----


def _f(x: float) -> str:
    """A float literal without rounding: what float32 holds, in hexadecimal."""
    return f"{array('f', [x])[0].hex()}f"


def _d(x: float) -> str:
    return float(x).hex()


def _text(raw: bytes) -> str:
    """Every byte that is not plain in octal, whose three digits end by themselves."""
    plain = set(range(32, 127)) - set(b'"\\?')
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in raw) + '"'


def _group(items: Iterable[object]) -> str:
    return f"{{{', '.join(map(str, items)) or '0'}}}"


def _one(what: str, **values: object) -> str:
    return f"static const {what} = {{\n    " + ",\n    ".join(f".{k} = {v}" for k, v in values.items()) + "};"


def _lines(what: str, items: Iterable[str]) -> str:
    values = list(items)
    rows = (", ".join(values[i : i + WIDTH]) for i in range(0, len(values), WIDTH))
    return f"{what}[{len(values)}] = {{\n    " + ",\n    ".join(rows) + "};"


def _table(what: str, rows: Sequence[str]) -> str:
    """A row a line."""
    return f"static const {what}[{len(rows)}] = {{\n    " + ",\n    ".join(rows) + "};"


def _or_null(name: str, items: Sequence[object]) -> str:
    return name if items else "NULL"
