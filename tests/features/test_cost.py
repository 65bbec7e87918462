"""The cost that a table shows before anything runs is near what valgrind counts."""

from __future__ import annotations

import re

import pytest

from edge_runtime import native
from edge_runtime.contract.program import Channel, Program
from edge_runtime.features import build_program, describe
from edge_runtime.features.cost import cost
from edge_runtime.features.costs import FILTERS, ROWS, WINDOWS
from tools.counting import count, count_records, missing

MONITOR = [
    "mean", "std", "rms", "min", "max", "range", "skewness", "kurtosis", "median", "quantile(0.25)", "quantile(0.75)",
    "iqr", "zero_crossings", "mad_diff", "autocorrelation(1)", "slope", "spectral_centroid", "band_power(0,1)",
    "band_power(1,2)", "band_power(2,4)", "spectral_entropy",
]  # fmt: skip
WITHIN = 0.3


def program(channels: int, window: int, hop: int, *features: str, **derived: str) -> Program:
    columns = [Channel(name=f"c{i}", unit="g") for i in range(channels)]
    return build_program(columns, rate_hz=100, window_frames=window, hop_frames=hop, features=features, derived=derived)


def programs() -> dict[str, Program]:
    return {
        "25 features x 6 channels": program(6, 256, 256, *MONITOR),
        "the same, half a window a hop": program(6, 256, 128, *MONITOR),
        "time alone": program(3, 128, 64, "mean", "std", "mad_diff", "zero_crossings", "slope"),
        "quantiles": program(2, 1000, 500, "median", "iqr", "quantile(0.9)", "mad"),
        "spectrum": program(3, 512, 256, "spectral_centroid", "spectral_rolloff(0.85)", "dominant_frequency"),
        "shape": program(4, 100, 50, "skewness", "kurtosis", "hjorth_mobility", "crest_factor"),
        "filters": program(2, 400, 200, "slow:rms", "slow:max", slow="c0:lowpass(5,0.7071)|highpass(1,0.7071)"),
        "pairs": program(3, 200, 100, "c0,c1:correlation", "c1,c2:covariance", "c0,c2:phase(5)", "c0,c1:best_lag(10)"),
        "sound": program(1, 512, 256, *(f"mfcc({k},12,64,32)" for k in range(12))),
        "magnitude": program(3, 240, 120, "m:std", "m:median", m="c0,c1,c2:magnitude"),
    }


def test_every_operator_has_a_cost() -> None:
    """A new one: `python -m tools.cost` counts it."""
    assert not [op.name for op in native.operators() if op.id not in WINDOWS | FILTERS | ROWS]


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_the_estimate_is_near_the_count() -> None:
    """Within 30 %, on programs that the coefficients were not fitted to."""
    counted = count(list(programs().values()))
    off = {name: cost(p).total / c - 1 for (name, p), c in zip(programs().items(), counted, strict=True)}
    print({name: f"{value:+.0%}" for name, value in off.items()})
    assert all(abs(value) < WITHIN for value in off.values()), off


def of_records(*features: str) -> Program:
    kinds = {"age": "number", "load": "number", "at": "number", "colour": "text", "site": "text"}
    return build_program([], rate_hz=1, window_frames=1, hop_frames=1, features=features, fields=kinds)


COLOURS = ("red", "green", "ochre", "red")
RECORDS = [
    [(38.0, 4.5, 61.0, 0.0)[i % 4], (0.1, 900.0)[i % 2], 1.7e12 + 1e7 * i, COLOURS[i % 4], ("north", "s7")[i % 2]]
    for i in range(8)
]
OF_RECORDS = {
    "scaled": of_records("age:impute(38)|standardise(40,12)", "age:missing", "load:log1p|min_max(0,9,0)"),
    "words": of_records(
        "colour:one_hot(red,green,blue)", "colour:unknown(red,green,blue)", "site:ordinal(-1,north,south)"
    ),
    "time": of_records("at:hour(60)", "at:weekday_sin(60)", "at:weekday_cos(60)", "age,load:product"),
    "bins": of_records(
        f"age:bucketise({','.join(map(str, range(0, 60, 4)))})", "site:hash_bucket(64)", "load:clip(0,5)"
    ),
}


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_the_estimate_of_a_record_is_near_the_count() -> None:
    """Within 30 %, on records that the coefficients were not fitted to."""
    counted = count_records(list(OF_RECORDS.values()), [RECORDS] * len(OF_RECORDS))
    off = {name: cost(p).record_total / c - 1 for (name, p), c in zip(OF_RECORDS.items(), counted, strict=True)}
    print({name: f"{value:+.0%}" for name, value in off.items()})
    assert all(abs(value) < WITHIN for value in off.values()), off


def test_a_program_of_records_tells_what_a_record_costs() -> None:
    text = describe(OF_RECORDS["scaled"])
    assert re.search(r"about [\d.]+ k? ?instructions a record \(x86-64\)", text.splitlines()[0]), text
    assert re.search(r"age\.impute\(38\) .* 34$", text, re.M), text
    assert re.search(r"age\.missing .* 32$", text, re.M), text


def test_cost_grows_with_channels_and_features() -> None:
    """One more channel costs as much as the one before; one more feature never costs less than nothing."""
    totals = [cost(program(n, 256, 128, *MONITOR)).total for n in (1, 2, 3)]
    assert totals[2] - totals[1] == pytest.approx(totals[1] - totals[0])
    parts = cost(program(1, 256, 128, *MONITOR))
    assert min(parts.features) >= 0.0
    assert len(parts.features) == len(MONITOR)
