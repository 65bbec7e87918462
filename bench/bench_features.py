"""Features: the core against what a user would pick instead. Group = operators and size; unit of work = one window.

The first nine operators against the reference; then the 26 of a vibration monitor (6 channels, window 256). Rivals:
numpy  by hand over all channels at once, each shared part once, float32.
scipy  a call a feature: scipy.stats, scipy.signal, numpy.
tsfel, tsfresh  the 15 features that each shares with us, each in a group of its own (tsfel has no autocorrelation at a
    lag, tsfresh no spectral entropy). `*_extractor`: their documented entry, told of these features alone, no progress
    bar, no processes; the figures x_tsfel and x_tsfresh. `*_functions`: what a reader of their source can do, their
    calculators called one by one on float64 columns that lie ready; the figures x_*_functions.
catch22  pycatch22's own 22, on lists that lie ready.
Then the ranks alone, er_ranks.c against quickselect in C (bench/rivals.c), and what a call from Python costs.
"""

from __future__ import annotations

import ctypes
import tempfile
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import core
from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import Channel, Program
from edge_runtime.features import build_program
from edge_runtime.features.reference import OPS, Window

NINE = ("mean", "std", "rms", "min", "max", "median", "zero_crossings", "mad_diff", "band_power(0.5,4)")
SIZES = ((16, 40), (6, 256), (3, 4096))
each_size = pytest.mark.parametrize(("channels", "window"), SIZES, ids=[f"{c}x{w}" for c, w in SIZES])


def case(channels: int, window: int) -> tuple[Program, Any]:
    """A program and one window of noise."""
    columns = [Channel(name=f"c{i}", unit="x") for i in range(channels)]
    program = build_program(columns, rate_hz=20.0, window_frames=window, hop_frames=window, features=NINE)
    return program, np.random.default_rng(1).standard_normal((window, channels)).astype(np.float32)


def window_through(program: Program, frames: Any) -> Callable[[], memoryview[float]]:
    """One window through a stream, its features ready."""
    stream = native.Stream(program, Policy(thresholds_ppm=(0,)))

    def one_window() -> memoryview[float]:
        stream.step(frames, 0, len(frames))
        stream.decide((1.0,))
        return stream.features

    return one_window


@each_size
def test_core(benchmark: Any, channels: int, window: int) -> None:
    """One window through a stream, its features ready."""
    program, frames = case(channels, window)
    benchmark.group = f"features {channels} channels, window {window}"
    benchmark(window_through(program, frames))


@each_size
def test_numpy(benchmark: Any, channels: int, window: int) -> None:
    """The same window through the reference operators."""
    program, frames = case(channels, window)

    def one_window() -> list[float]:
        columns = [Window(x=frames[:, c].astype(np.float64), rate_hz=20.0) for c in range(channels)]
        return [OPS[f.op](columns[f.channel], *f.params) for f in program.features]

    benchmark.group = f"features {channels} channels, window {window}"
    benchmark(one_window)


# ---- a vibration monitor: 26 features x 6 channels, window 256 ----

RATE, CHANNELS, WINDOW = 128.0, 6, 256
BANDS = tuple((8.0 * i, 8.0 * (i + 1)) for i in range(8))
MONITOR = (
    "mean", "std", "rms", "min", "max", "range", "skewness", "kurtosis", "median", "quantile(0.25)", "quantile(0.75)",
    "iqr", "zero_crossings", "mad_diff", "autocorrelation(1)", "slope", "spectral_centroid", "spectral_entropy",
    *(f"band_power({lo:g},{hi:g})" for lo, hi in BANDS),
)  # fmt: skip
FREQUENCY = np.arange(1, WINDOW // 2 + 1) * RATE / WINDOW
STEPS = np.arange(WINDOW) - (WINDOW - 1) / 2


def monitor(names: Sequence[str] = MONITOR) -> tuple[Program, Any]:
    columns = [Channel(name=f"c{i}", unit="x") for i in range(CHANNELS)]
    program = build_program(columns, rate_hz=RATE, window_frames=WINDOW, hop_frames=WINDOW, features=names)
    return program, np.random.default_rng(2).standard_normal((WINDOW, CHANNELS)).astype(np.float32)


def by_numpy(frames: Any) -> Any:
    """All features of all channels [features, channels]: every shared part once, float32 where numpy keeps it."""
    x = np.ascontiguousarray(frames.T)
    mean = x.mean(axis=1)
    d = x - mean[:, None]
    d2 = d * d
    m2 = d2.mean(axis=1)
    low, high = x.min(axis=1), x.max(axis=1)
    s = np.sort(x, axis=1)
    q1, q2, q3 = ((1 - g) * s[:, k] + g * s[:, k + 1] for k, g in ((63, 0.75), (127, 0.5), (191, 0.25)))
    below = x < 0
    power = np.square(np.abs(np.fft.rfft(d, axis=1)[:, 1:])) * (2 / WINDOW**2)
    power[:, -1] /= 2
    total = power.sum(axis=1)
    share = power / total[:, None]
    sums = np.cumsum(power, axis=1)
    ends = [sums[:, int(np.ceil(hi * WINDOW / RATE)) - 2] for _, hi in BANDS]
    features = [
        mean, np.sqrt(m2), np.sqrt((x * x).mean(axis=1)), low, high, high - low,
        (d2 * d).mean(axis=1) / m2**1.5, (d2 * d2).mean(axis=1) / m2**2 - 3, q2, q1, q3, q3 - q1,
        np.count_nonzero(below[:, 1:] != below[:, :-1], axis=1), np.abs(np.diff(x, axis=1)).mean(axis=1),
        (d[:, 1:] * d[:, :-1]).mean(axis=1) * ((WINDOW - 1) / WINDOW) / m2,
        d @ STEPS * (RATE / np.sum(STEPS**2)), power @ FREQUENCY / total,
        -(share * np.log2(share)).sum(axis=1) / np.log2(WINDOW // 2),
        ends[0] + mean**2, *(b - a for a, b in pairwise(ends)),
    ]  # fmt: skip
    return np.array(features)


def by_scipy(frames: Any) -> Any:
    """The same, each feature by the function that scipy or numpy has for it, channel by channel."""
    from scipy import signal, stats  # type: ignore[import-untyped]

    out = []
    for x in frames.T:
        mean = np.mean(x)
        f, p = signal.periodogram(x, RATE, "boxcar", detrend=False, scaling="spectrum")
        q1, q3 = np.quantile(x, 0.25), np.quantile(x, 0.75)
        lagged = signal.correlate(x - mean, x - mean)
        column = [
            mean, np.std(x), np.sqrt(np.mean(x * x)), np.min(x), np.max(x), np.ptp(x), stats.skew(x),
            stats.kurtosis(x), np.median(x), q1, q3, stats.iqr(x), np.count_nonzero(np.diff(np.signbit(x))),
            np.mean(np.abs(np.diff(x))), lagged[WINDOW] / lagged[WINDOW - 1],
            stats.linregress(STEPS / RATE, x).slope, np.average(f[1:], weights=p[1:]),
            stats.entropy(p[1:], base=2) / np.log2(WINDOW // 2),
            *(p[(f >= lo) & (f < hi)].sum() for lo, hi in BANDS),
        ]  # fmt: skip
        out.append(column)
    return np.array(out).T


def agree(program: Program, frames: Any, rival: Any) -> None:
    """A rival that computes something else is none."""
    ours = np.empty((len(MONITOR), CHANNELS))
    for value, feature in zip(native.batch(program, frames), program.features, strict=True):
        ours[MONITOR.index(feature.name.split(".", 1)[1]), feature.channel] = value
    np.testing.assert_allclose(rival, ours, rtol=2e-4, atol=2e-5)


def named(benchmark: Any) -> Any:
    benchmark.group = f"monitor: {len(MONITOR)} features x {CHANNELS} channels, window {WINDOW}"
    benchmark.extra_info["prefix"] = ""
    return benchmark


def test_core_monitor(benchmark: Any) -> None:
    """One window through a stream, its features ready."""
    named(benchmark)(window_through(*monitor()))


def test_numpy_monitor(benchmark: Any) -> None:
    """Vectorised over the channels by hand."""
    program, frames = monitor()
    agree(program, frames, by_numpy(frames))
    named(benchmark)(by_numpy, frames)


def test_scipy_monitor(benchmark: Any) -> None:
    """As one writes it: scipy.stats, scipy.signal and numpy, a call a feature."""
    program, frames = monitor()
    agree(program, frames, by_scipy(frames))
    named(benchmark)(by_scipy, frames)


# ---- feature libraries: six columns, those 15 features that they have ----

SHARED = 15


def rival(name: str) -> Any:
    """The package, or a skip that says how to get it. Their warnings are theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed: pip install -e '.[bench]'")


def columns() -> list[Any]:
    return [np.ascontiguousarray(column, dtype=np.float64) for column in monitor()[1].T]


def by_tsfel(tsfel: Any, xs: list[Any]) -> list[list[float]]:
    return [
        [
            tsfel.calc_mean(x), tsfel.calc_std(x), tsfel.rms(x), tsfel.calc_min(x), tsfel.calc_max(x),
            tsfel.skewness(x), tsfel.kurtosis(x), tsfel.calc_median(x), *tsfel.ecdf_percentile(x, [0.25, 0.75]),
            tsfel.zero_cross(x), tsfel.mean_abs_diff(x), tsfel.slope(x), tsfel.spectral_centroid(x, RATE),
            tsfel.spectral_entropy(x, RATE),
        ]
        for x in xs
    ]  # fmt: skip


def by_tsfresh(fc: Any, xs: list[Any]) -> list[list[float]]:
    return [
        [
            fc.mean(x), fc.standard_deviation(x), fc.root_mean_square(x), fc.minimum(x), fc.maximum(x),
            fc.skewness(x), fc.kurtosis(x), fc.median(x), fc.quantile(x, 0.25), fc.quantile(x, 0.75),
            fc.number_crossing_m(x, 0), fc.mean_abs_change(x), next(iter(fc.linear_trend(x, [{"attr": "slope"}])))[1],
            next(iter(fc.fft_aggregated(x, [{"aggtype": "centroid"}])))[1], fc.autocorrelation(x, 1),
        ]
        for x in xs
    ]  # fmt: skip


def same_where_defined_the_same(rows: list[list[float]]) -> None:
    """Mean, std, rms, min, max, median, zero crossings, mean change: a rival that computes something else is none."""
    program, frames = monitor()
    ours = dict(zip((f.name for f in program.features), native.batch(program, frames), strict=True))
    names = {0: "mean", 1: "std", 2: "rms", 3: "min", 4: "max", 7: "median", 10: "zero_crossings", 11: "mad_diff"}
    for channel, row in enumerate(rows):
        assert len(row) == SHARED
        for at, name in names.items():
            assert row[at] == pytest.approx(ours[f"c{channel}.{name}"], rel=1e-5, abs=1e-6), name


def of_shared(benchmark: Any, library: str) -> Any:
    benchmark.group = f"the {SHARED} features that {library} has x {CHANNELS} channels, window {WINDOW}"
    benchmark.extra_info["prefix"] = f"{library}_"
    return benchmark


@pytest.mark.parametrize(("library", "last"), [("tsfel", "spectral_entropy"), ("tsfresh", "autocorrelation(1)")])
def test_core_shared(benchmark: Any, library: str, last: str) -> None:
    names = [*MONITOR[:5], "skewness", "kurtosis", "median", "quantile(0.25)", "quantile(0.75)", "zero_crossings"]
    program, frames = monitor([*names, "mad_diff", "slope", "spectral_centroid", last])
    assert len(program.features) == SHARED * CHANNELS
    of_shared(benchmark, library)(window_through(program, frames))


def test_tsfel_functions_shared(benchmark: Any) -> None:
    """Its functions, called one by one."""
    tsfel, xs = rival("tsfel"), columns()
    same_where_defined_the_same(by_tsfel(tsfel, xs))
    of_shared(benchmark, "tsfel")(by_tsfel, tsfel, xs)


def test_tsfresh_functions_shared(benchmark: Any) -> None:
    """Its calculators, called one by one."""
    rival("tsfresh")
    calculators, xs = rival("tsfresh.feature_extraction.feature_calculators"), columns()
    same_where_defined_the_same(by_tsfresh(calculators, xs))
    of_shared(benchmark, "tsfresh")(by_tsfresh, calculators, xs)


def test_tsfel_extractor_shared(benchmark: Any) -> None:
    """The documented entry, told of these features alone."""
    tsfel, frames = rival("tsfel"), monitor()[1]
    everything = tsfel.get_features_by_domain()
    wanted = {
        "statistical": (
            "Mean", "Standard deviation", "Root mean square", "Min", "Max", "Skewness", "Kurtosis", "Median",
            "ECDF Percentile",
        ),
        "temporal": ("Zero crossing rate", "Mean absolute diff", "Slope"),
        "spectral": ("Spectral centroid", "Spectral entropy"),
    }  # fmt: skip
    config = {domain: {name: everything[domain][name] for name in names} for domain, names in wanted.items()}
    config["statistical"]["ECDF Percentile"]["parameters"] = {"percentile": "[0.25, 0.75]"}
    extract = tsfel.time_series_features_extractor
    of_shared(benchmark, "tsfel").pedantic(
        extract, args=(config, frames), kwargs={"fs": RATE, "verbose": 0}, rounds=30, warmup_rounds=2
    )


def test_tsfresh_extractor_shared(benchmark: Any) -> None:
    """The documented entry: these features alone, in this process."""
    rival("tsfresh")
    extraction, pandas = rival("tsfresh.feature_extraction"), rival("pandas")
    one = ("mean", "standard_deviation", "root_mean_square", "minimum", "maximum", "skewness", "kurtosis", "median")
    wanted: dict[str, Any] = dict.fromkeys((*one, "mean_abs_change"))
    wanted |= {"quantile": [{"q": 0.25}, {"q": 0.75}], "number_crossing_m": [{"m": 0}], "autocorrelation": [{"lag": 1}]}
    wanted |= {"linear_trend": [{"attr": "slope"}], "fft_aggregated": [{"aggtype": "centroid"}]}
    frame = pandas.DataFrame(monitor()[1], columns=[f"c{i}" for i in range(CHANNELS)]).assign(id=0)
    settings = {"column_id": "id", "default_fc_parameters": wanted, "n_jobs": 0, "disable_progressbar": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        of_shared(benchmark, "tsfresh").pedantic(
            extraction.extract_features, args=(frame,), kwargs=settings, rounds=30, warmup_rounds=2
        )


def test_catch22_monitor(benchmark: Any) -> None:
    """Its own 22 of every channel."""
    pycatch22, xs = rival("pycatch22"), [x.tolist() for x in columns()]
    named(benchmark)(lambda: [pycatch22.catch22_all(x) for x in xs])


# ---- ranks alone: a quarter, a half, three quarters, each with the next ----


def rivals_c() -> ctypes.CDLL:
    """bench/rivals.c with the core, by the compiler of this run."""
    with tempfile.TemporaryDirectory() as folder:
        return ctypes.CDLL(str(core.library(Path(__file__).with_name("rivals.c"), Path(folder))))


def ranks(benchmark: Any, which: int) -> None:
    windows = np.random.default_rng(3).standard_normal((200, WINDOW)).astype(np.float32)
    out, want, library = np.empty((200, 6), dtype=np.float32), np.sort(windows, axis=1), rivals_c()
    floats = ctypes.POINTER(ctypes.c_float)
    args = (windows.ctypes.data_as(floats), ctypes.c_long(200), ctypes.c_long(WINDOW), out.ctypes.data_as(floats))
    benchmark.group = f"three ranks, each with the next, of {WINDOW} values"
    benchmark.extra_info |= {"prefix": "ranks_", "rows": 200}
    benchmark(library.ranks_of, which, *args)
    k = np.array([(WINDOW - 1) // 4, (WINDOW - 1) // 2, 3 * (WINDOW - 1) // 4])
    np.testing.assert_array_equal(out, want[:, np.repeat(k, 2) + np.tile([0, 1], 3)])


def test_core_ranks(benchmark: Any) -> None:
    """csrc/er_ranks.c, least and greatest value included."""
    ranks(benchmark, 0)


def test_quickselect_ranks(benchmark: Any) -> None:
    """bench/rivals.c."""
    ranks(benchmark, 1)


# ---- the call: what Python adds to the work in C, for a block of frames that completes no window ----


def call(benchmark: Any) -> Any:
    benchmark.group = "one call, no frame to take"
    benchmark.extra_info |= {"prefix": "call_", "rows": 1000}
    stream = native.Stream(monitor()[0], Policy(thresholds_ppm=(0,)))
    stream.step(monitor()[1], 0, 0)
    return stream


def test_core_call(benchmark: Any) -> None:
    """`er_step()` from C."""
    stream, library = call(benchmark), rivals_c()
    taken, decision = ctypes.c_uint32(), ctypes.create_string_buffer(64)
    benchmark(library.steps_of, ctypes.c_void_p(stream.address), ctypes.byref(taken), decision, ctypes.c_long(1000))


def test_python_call(benchmark: Any) -> None:
    """`Stream.step()` from Python, in a plain loop that counts too."""
    stream, frames = call(benchmark), monitor()[1]

    def thousand() -> None:
        for _ in range(1000):
            stream.step(frames, 0, 0)

    stream.step(frames, 0, 0)
    benchmark(thousand)


def figures(results: dict[str, float]) -> dict[str, float]:
    """The figures under the names that the gates read; a rival that is not installed has none."""
    libraries = [
        (name, way, suffix)
        for name in ("tsfel", "tsfresh")
        for way, suffix in (("extractor", ""), ("functions", "_functions"))
    ]
    shared = {
        f"x_{name}{suffix}": results[f"{name}_x_{name}_{way}"]
        for name, way, suffix in libraries
        if f"{name}_x_{name}_{way}" in results
    }
    return shared | {
        "us_window": results["core_us"],
        "p99": results["core_p99_us"],
        "x_quickselect": results["ranks_x_quickselect"],
        "us_call": round(results["call_python_us"] - results["call_core_us"], 3),
    }
