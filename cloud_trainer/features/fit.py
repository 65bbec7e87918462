"""Statistics of row operators, frozen at training. One rule: an entry in, an entry with numbers out, by the same names.

"age:impute(median)|standardise" becomes "age:impute(38)|standardise(38.6,13.7)", and its feature is
"age.impute(median).standardise" whatever the numbers. A statistic that follows other steps is of what the core makes of
them, float32; of a field itself it is of its float64 values.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeVar

from edge_runtime.contract.program import MAX_WORDS
from edge_runtime.errors import UsageError
from edge_runtime.features import build_program
from edge_runtime.features.spec import Call, Spec, call, near, parse

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from cloud_trainer.datasets.content import FieldColumn
    from edge_runtime.features.program import Derived

    Numbers = npt.NDArray[np.float64]

T = TypeVar("T")
Columns = Mapping[str, "FieldColumn"]
"""Field -> its training values: float64 with NaN for what is missing, or text with None."""


# ---- the statistics: from values that are there to the parameters of the operator ----


def _mean(x: Numbers) -> float:
    return float(x.mean())


def _median(x: Numbers) -> float:
    import numpy as np

    return float(np.median(x))


def _most_frequent(x: Numbers) -> float:
    """The least of those that occur most often, as in scikit-learn's SimpleImputer."""
    import numpy as np

    values, counts = np.unique(x, return_counts=True)
    return float(values[np.argmax(counts)])


IMPUTE: dict[str, Callable[[Numbers], float]] = {"mean": _mean, "median": _median, "most_frequent": _most_frequent}


def _standard(x: Numbers) -> tuple[float, ...]:
    """Mean and population standard deviation; a constant is only moved, as in StandardScaler."""
    return float(x.mean()), float(x.std()) or 1.0


def _robust(x: Numbers) -> tuple[float, ...]:
    """Median and interquartile range, as in RobustScaler."""
    import numpy as np

    low, middle, high = np.quantile(x, [0.25, 0.5, 0.75])
    return float(middle), float(high - low) or 1.0


def _range(x: Numbers) -> tuple[float, ...]:
    """Least and greatest value, not clipped, as in MinMaxScaler."""
    low, high = float(x.min()), float(x.max())
    return low, high if high > low else low + 1.0, 0.0


def _quantile_edges(x: Numbers, n: int) -> tuple[float, ...]:
    """The n - 1 inner edges of n bins with equally many values; equal edges once."""
    import numpy as np

    edges = np.unique(np.quantile(x, np.arange(1, n) / n))
    return tuple(float(edge) for edge in edges)


SCALES: dict[str, Callable[[Numbers], tuple[float, ...]]] = {
    "standardise": _standard,
    "robust_scale": _robust,
    "min_max": _range,
}
CATEGORIES = ("one_hot", "ordinal", "unknown")


# ---- which calls need one ----


def needs_fit(entries: Sequence[str]) -> bool:
    """Whether a statistic of any entry comes from training data."""
    return any(_is_open(each) for entry in entries for each in parse(entry).calls)


def _is_open(one: Call) -> bool:
    words = [argument.text for argument in one.arguments if not argument.is_quoted]
    if one.op == "impute":
        return len(words) == 1 and words[0] in IMPUTE
    if one.op == "bucketise":
        return words[:1] == ["quantiles"]
    return (one.op in SCALES or one.op in CATEGORIES) and not one.arguments


# ---- entries ----


def fit_entries(
    entries: Sequence[str], columns: Columns, *, derived: Mapping[str, Derived] | None = None
) -> list[Spec]:
    """The entries with every statistic in numbers and words; an entry of several fields becomes one a field.

    Args:
        entries: As in `features.list`.
        columns: The training rows.
        derived: Named derived fields that the entries may read, already fitted.

    Raises:
        UsageError: A statistic of a field without any value, or with more categories than a program may have.
    """
    made: list[Spec] = []
    for entry in entries:
        spec = parse(entry)
        if not any(_is_open(each) for each in spec.calls):
            made.append(spec)
            continue
        names = [*columns, *(derived or {})]
        found = dict.fromkeys(name for glob in spec.sources or ("*",) for name in names if fnmatchcase(name, glob))
        groups = [tuple(found)] if spec.calls[0].op in {"product", "ratio"} else [(name,) for name in found]
        if not groups or not groups[0]:
            meant = near((spec.sources or ("*",))[0], names)
            raise UsageError(f"feature {entry!r}: no field is like it{meant}", hint=f"fields: {', '.join(names)}")
        made += [_fit_one(spec, group, columns, derived or {}) for group in groups]
    return made


def _fit_one(spec: Spec, sources: tuple[str, ...], columns: Columns, derived: Mapping[str, Derived]) -> Spec:
    done: list[str] = []
    calls: list[Call] = []
    for each in spec.calls:
        text = written = _text(each)
        if _is_open(each):
            values = _values(sources, done, columns, derived)
            text = _fit_call(each, values, what=f"{','.join(sources)}:{'|'.join([*done, written])}")
        done.append(text)
        calls.append(replace(parse(text).calls[0], written=written if text != written else ""))
    return Spec(f"{','.join(sources)}:{'|'.join(done)}", sources, tuple(calls))


def _text(one: Call) -> str:
    parts = [json.dumps(a.text, ensure_ascii=False) if a.is_quoted else a.text for a in one.arguments]
    return f"{one.op}({','.join(parts)})" if parts else one.op


def _values(
    sources: tuple[str, ...], done: Sequence[str], columns: Columns, derived: Mapping[str, Derived]
) -> FieldColumn:
    """What the steps so far make of the training rows."""
    own = columns.get(sources[0]) if len(sources) == 1 else None
    if isinstance(own, list) and all(step.startswith("impute") for step in done):
        return _texts(own, done)
    return own if own is not None and not done else _cells(sources, done, columns, derived)


def _texts(values: list[str | None], done: Sequence[str]) -> list[str | None]:
    """Only an imputation makes a text of a text, and the core gives out numbers alone: so it is done here."""
    for step in done:
        (one,) = parse(step).calls
        word = one.arguments[0].text if one.arguments else None
        values = [word if value is None else value for value in values]
    return values


def _cells(sources: tuple[str, ...], done: Sequence[str], columns: Columns, derived: Mapping[str, Derived]) -> Numbers:
    import numpy as np

    from cloud_trainer.features.cells import cells_of

    kinds = {name: "text" if isinstance(values, list) else "number" for name, values in columns.items()}
    entry = f"{','.join(sources)}:{'|'.join([*done, 'value'])}"
    program = build_program(
        [], rate_hz=1.0, window_frames=1, hop_frames=1, features=[entry], derived=derived, fields=kinds
    )
    cells = cells_of(program, columns)
    if cells.shape[1] > 1:
        raise UsageError(
            f"feature {','.join(sources)}:{'|'.join(done)}: it is {cells.shape[1]} features, and a statistic is of one",
            hint="end the entry there: what is 0 or 1 needs no scale",
        )
    return np.asarray(cells[:, 0], dtype=np.float64)


def _fit_call(one: Call, values: FieldColumn, *, what: str) -> str:
    import numpy as np

    if isinstance(values, list):
        return _fit_text(one, [value for value in values if value is not None], what=what)
    there = values[np.isfinite(values)]
    if not len(there):
        raise UsageError(f"feature {what}: no value is there in training", hint="give the statistic as a number")
    if one.op == "impute":
        return call(one.op, [IMPUTE[one.arguments[0].text](there)])
    if one.op == "bucketise":
        return call(one.op, _quantile_edges(there, _n_bins(one, what=what)))
    if one.op in SCALES:
        return call(one.op, SCALES[one.op](there))
    return call(one.op, _known(np.unique(there).tolist(), what=what))


def _fit_text(one: Call, there: list[str], *, what: str) -> str:
    if not there:
        raise UsageError(f"feature {what}: no text is there in training", hint="give the words yourself")
    if one.op == "impute":
        if one.arguments[0].text != "most_frequent":
            raise UsageError(f"feature {what}: a text has no {one.arguments[0].text}", hint="quote it, if it is a word")
        counts = Counter(there)
        return call(one.op, (), [min(counts, key=lambda word: (-counts[word], word))])
    if one.op not in CATEGORIES:
        raise UsageError(
            f"feature {what}: {one.op} takes numbers, and this is a text",
            hint=f"a text has {', '.join(CATEGORIES)}; or name the number fields alone",
        )
    words = [json.dumps(word, ensure_ascii=False) for word in _known(sorted(set(there)), what=what)]
    return f"{one.op}({','.join(['-1', *words] if one.op == 'ordinal' else words)})"


def _known(found: list[T], *, what: str) -> list[T]:
    if len(found) > MAX_WORDS:
        raise UsageError(
            f"feature {what}: {len(found)} categories in training, a program has at most {MAX_WORDS}",
            hint="hash the field into buckets instead: hash_bucket(64)",
        )
    return found


def _n_bins(one: Call, *, what: str) -> int:
    texts = [argument.text for argument in one.arguments[1:]]
    if len(texts) != 1 or not texts[0].isdigit() or not 2 <= int(texts[0]) <= 257:
        raise UsageError(f"feature {what}: how many bins is not said", hint="write e.g. bucketise(quantiles,8), 2..257")
    return int(texts[0])
