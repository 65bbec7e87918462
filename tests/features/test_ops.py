"""Every operator, whichever way it is reached, gives the number its reference gives. A new one changes nothing."""

from __future__ import annotations

import math
from array import array
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edge_runtime import native
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.program import TAPERS, Channel, Feature, Program
from edge_runtime.errors import ContractError
from edge_runtime.features.reference import OPS, Reference, Window

Frames = NDArray[np.float32]
RATE = 20.0
ALL = list(OPS.values())
NAN_BITS = 0x7FC00000
POLICY = Policy(thresholds_ppm=(0, 0))
TWO = {op.id for op in native.operators() if op.n_sources == (2, 2)}
"""Operators of two channels."""

windows = hnp.arrays(np.float32, st.tuples(st.integers(2, 512), st.just(2)), elements=st.floats(-1e4, 1e4, width=32))
tapers = st.sampled_from(sorted(TAPERS))
each_op = pytest.mark.parametrize("op", ALL, ids=lambda op: op.name)


def params_of(op: Reference, n: int) -> list[tuple[float, ...]]:
    """The operator's own parameter sets to try, those that a window of n frames takes: the core says which."""
    taken = [params for params in op.tries if takes(op, n, params)]
    assert taken, f"{op.name}: no parameters in `tries` fit a window of {n}"
    return taken


@cache
def takes(op: Reference, n: int, params: tuple[float, ...]) -> bool:
    try:
        native.check_program(single(op, n, params))
    except ContractError as why:
        if "out of range" not in str(why):
            raise
        return False
    return True


def single(op: Reference, n: int, params: tuple[float, ...], taper: str = "none") -> Program:
    """One feature of the first of two channels, or of both; one window."""
    feature = Feature(name="f", op=op.id, channel=0, params=params, other=1 if op.id in TWO else None)
    channels = tuple(Channel(name=name, unit="x", taper=taper) for name in ("c", "d"))
    return Program(rate_hz=RATE, channels=channels, window_frames=n, hop_frames=n, features=(feature,))


def program(window: int, hop: int, ops: list[Reference], *, channels: int = 1) -> Program:
    """Every parameter set of `ops` on every channel, with the next where the operator takes two."""
    features = [
        Feature(
            name=f"c{c}.{op.name}{params}",
            op=op.id,
            channel=c,
            params=params,
            other=(c + 1) % channels if op.id in TWO else None,
        )
        for c in range(channels)
        for op in ops
        for params in params_of(op, window)
    ]
    return Program(
        rate_hz=RATE,
        channels=tuple(Channel(name=f"c{c}", unit="x", scale=0.5 + c, offset=-c) for c in range(channels)),
        window_frames=window,
        hop_frames=hop,
        features=tuple(features),
    )


def one_channel(op: Reference, x: Frames, params: tuple[float, ...], taper: str = "none") -> float:
    """The kernel's number for the window `x`, of two channels; of one: it is both."""
    frames = x if x.ndim == 2 else np.column_stack((x, x))
    (value,) = native.batch(single(op, len(x), params, taper), frames)
    return value


def numbers(op: Reference, x: Frames, params: tuple[float, ...], taper: str = "none") -> tuple[float, float, float]:
    """What the kernel gives, what it should, and how far from it it may be."""
    got, y = one_channel(op, x, params, taper), x.astype(np.float64).reshape(len(x), -1)
    window = Window(x=y[:, 0], other=y[:, -1] if op.id in TWO else y[:0, 0], rate_hz=RATE, taper=taper)
    want = op(window, *params)
    return got, want, op.tolerance.at(want, window, *params)


def play(stream: native.Stream, frames: Frames, start: int, end: int, cut: int) -> list[bytes]:
    """Feature vectors of frames start..end, pushed in pieces of `cut`."""
    out = []
    while start < end:
        start += stream.step(frames, start, min(cut, end - start))
        if stream.status == "scores":
            stream.decide((0.6, 0.4))
        if stream.status == "decision":
            out.append(stream.features.tobytes())
    return out


def test_kernel_and_reference_list_the_same_operators() -> None:
    """An operator added on one side only is caught by name."""
    assert {op.id: op.name for op in ALL} == {op.id: op.name for op in native.operators() if op.kind == "window"}


def test_ids_are_given_in_order_and_stay() -> None:
    shipped = ["mean", "std", "rms", "min", "max", "median", "zero_crossings", "mad_diff", "band_power"]
    assert [op.name for op in native.operators()][: len(shipped)] == shipped
    for kind, first in (("window", 1), ("filter", 1000), ("row", 2000)):
        ids = [op.id for op in native.operators() if op.kind == kind]
        assert ids == list(range(first, first + len(ids)))


@each_op
@given(x=windows, taper=tapers)
@settings(max_examples=200, deadline=None)
def test_kernel_matches_reference(op: Reference, x: Frames, taper: str) -> None:
    """Within the operator's stated tolerance, whatever the window."""
    for params in params_of(op, len(x)):
        got, want, allowed = numbers(op, x, params, taper)
        assert abs(got - want) <= allowed or (math.isnan(got) and math.isnan(want)), (got, want, allowed, params)


@each_op
@pytest.mark.parametrize("n", [2, 3, 4, 5, 7, 97, 128, 129, 360, 1000, 2048, 4093, 4095, 4096])
def test_kernel_matches_reference_at_every_kind_of_length(op: Reference, n: int) -> None:
    """Powers of two, primes, odd, the shortest and the longest; on an offset and with a slow trend."""
    rng = np.random.default_rng(n)
    trend = np.linspace(0, 0.1, n)[:, None]
    x = (9.81 + 0.01 * rng.standard_normal((n, 2)) + trend).astype(np.float32)
    for params in params_of(op, len(x)):
        for taper in TAPERS:
            got, want, allowed = numbers(op, x, params, taper)
            assert abs(got - want) <= allowed or (math.isnan(got) and math.isnan(want)), (
                got,
                want,
                allowed,
                params,
                taper,
            )


@each_op
@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, -1e-42, 3e38, 16777216.0])
@pytest.mark.parametrize("n", [2, 40, 129])
def test_a_constant_window(op: Reference, value: float, n: int) -> None:
    """Finite where float32 can hold it, never -0."""
    x = np.full(n, value, np.float32)
    for params in params_of(op, len(x)):
        got, want, allowed = numbers(op, x, params)
        beyond = math.isnan(want) or (math.isnan(got) and abs(value) > 1e19)  # squares pass float32's range
        assert math.isnan(got) if beyond else abs(got - want) <= allowed
        assert np.float32(got).view(np.uint32) != 0x80000000


@each_op
@pytest.mark.parametrize("bad", [0x7FC00001, 0xFFC00000, 0x7F800001, 0x7F800000, 0xFF800000])
def test_nan_and_infinity_give_one_nan_on_their_channel_only(op: Reference, bad: int) -> None:
    """Bits 0x7fc00000; channels that do not look at it do not notice."""
    frames = np.random.default_rng(3).standard_normal((80, 2)).astype(np.float32)
    clean = program(20, 20, [op], channels=2)
    want = np.frombuffer(native.batch(clean, frames), np.uint32).reshape(4, 2, -1)
    frames.view(np.uint32)[45, 1] = bad
    got = np.frombuffer(native.batch(clean, frames), np.uint32).reshape(4, 2, -1).copy()
    seen = slice(0 if op.id in TWO else 1, 2)
    assert (got[2, seen] == NAN_BITS).all()
    got[2, seen] = want[2, seen]
    assert (got == want).all()


@given(
    window=st.integers(2, 60), data=st.data(), cut=st.integers(1, 90), n=st.integers(0, 300), seed=st.integers(0, 99)
)
@settings(max_examples=100, deadline=None)
def test_batch_and_stream_are_the_same_bits_however_it_is_cut(
    window: int, data: st.DataObject, cut: int, n: int, seed: int
) -> None:
    """All operators, two channels, any window and hop."""
    whole = program(window, data.draw(st.integers(1, window)), ALL, channels=2)
    frames = np.random.default_rng(seed).standard_normal((n, 2)).astype(np.float32)
    want = native.batch(whole, frames)
    stream = native.Stream(whole, POLICY)
    got = play(stream, frames, 0, n, cut)
    assert b"".join(got) == want.tobytes()
    assert stream.frames == n
    assert stream.windows == len(got)


@given(middle=st.integers(0, 300), cut=st.integers(1, 90))
@settings(max_examples=50, deadline=None)
def test_saved_in_the_middle_it_goes_on_with_the_same_bits(middle: int, cut: int) -> None:
    whole = program(40, 13, ALL, channels=2)
    frames = np.random.default_rng(5).standard_normal((300, 2)).astype(np.float32)
    first, second, third = (native.Stream(whole, POLICY) for _ in range(3))
    want = play(first, frames, 0, 300, 300)
    before = play(second, frames, 0, middle, cut)
    third.restore(second.save())
    assert before + play(third, frames, middle, 300, cut) == want
    assert third.save() == first.save()


def test_an_adopting_stream_repeats_and_misses_no_window() -> None:
    """The new program sees the frames that the old one held."""
    old, new = program(40, 13, ALL, channels=2), program(40, 13, list(reversed(ALL)), channels=2)
    frames = np.random.default_rng(6).standard_normal((300, 2)).astype(np.float32)
    whole, first, second = native.Stream(new, POLICY), native.Stream(old, POLICY), native.Stream(new, POLICY)
    want = play(whole, frames, 0, 300, 300)
    before = play(first, frames, 0, 171, 7)
    second.adopt(first)
    assert (second.frames, second.windows) == (171, len(before))
    assert play(second, frames, 171, 300, 7) == want[len(before) :]


def test_scale_and_offset_are_applied_in_float32() -> None:
    """A value is raw * scale + offset, rounded twice: no fused multiply-add."""
    raw = np.random.default_rng(7).standard_normal(1000).astype(np.float32)
    channel = Channel(name="c", unit="g", scale=1.3, offset=-1.7)
    least = Feature(name="min", op=4, channel=0)
    single = Program(rate_hz=RATE, channels=(channel,), window_frames=2, hop_frames=1, features=(least,))
    values = raw * np.float32(1.3) + np.float32(-1.7)
    assert native.batch(single, raw).tobytes() == np.minimum(values[:-1], values[1:]).tobytes()


def test_numbers_mean_what_scipy_means() -> None:
    """Natural peers, one example each: no private meaning of a well-known word."""
    from scipy import signal, stats  # type: ignore[import-untyped]

    x = np.random.default_rng(8).gamma(2.0, size=250).astype(np.float32)
    y, t = x.astype(np.float64), np.arange(250) / RATE
    of = {op.name: op for op in ALL}
    frequency, density = signal.periodogram(y, RATE, "boxcar", detrend=False, scaling="spectrum")
    f, p = frequency[1:], density[1:]
    share, centroid = p / p.sum(), np.average(f, weights=p)
    counts = np.histogram(y, 10)[0]
    peers = {
        ("std", ()): stats.tstd(y) * math.sqrt(249 / 250),
        ("median", ()): stats.scoreatpercentile(y, 50),
        ("band_power", (2.0, 5.0)): density[(frequency >= 2.0) & (frequency < 5.0)].sum(),
        ("var", ()): stats.tvar(y) * 249 / 250,
        ("skewness", ()): stats.skew(y),
        ("kurtosis", ()): stats.kurtosis(y),
        ("quantile", (0.9,)): np.quantile(y, 0.9),
        ("iqr", ()): stats.iqr(y),
        ("mad", ()): stats.median_abs_deviation(y),
        ("slope", ()): stats.linregress(t, y).slope,
        ("autocorrelation", (3.0,)): signal.correlate(y - y.mean(), y - y.mean())[249 + 3] / (250 * y.var()),
        ("histogram_entropy", (10.0,)): stats.entropy(counts),
        ("spectral_centroid", ()): centroid,
        ("spectral_spread", ()): math.sqrt(np.average((f - centroid) ** 2, weights=p)),
        ("spectral_flatness", ()): stats.gmean(p) / p.mean(),
        ("spectral_entropy", ()): stats.entropy(share, base=2) / math.log2(len(p)),
        ("dominant_frequency", ()): f[p.argmax()],
        ("goertzel", (2.4,)): density[30],
    }
    for (name, params), want in peers.items():
        assert one_channel(of[name], x, params) == pytest.approx(want, rel=1e-5), name


def test_a_pure_tone_is_in_its_band() -> None:
    """Amplitude a has mean power a^2/2, whatever the length."""
    for n in (40, 200, 365):
        t = np.arange(n) / RATE
        f = round(3.0 * n / RATE) * RATE / n
        tone = (2.0 * np.sin(2 * np.pi * f * t) + 5.0).astype(np.float32)
        assert one_channel(OPS[9], tone, (2.5, 3.5)) == pytest.approx(2.0, rel=1e-5)
        assert one_channel(OPS[9], tone, (0.0, 0.001)) == pytest.approx(25.0, rel=1e-5)


def test_frames_may_come_in_any_float32_buffer() -> None:
    whole = program(4, 2, ALL)
    values = [0.5, -1.0, 2.0, 4.0, 1.0, 0.0]
    ways = [array("f", values), np.array(values, np.float32), memoryview(array("f", values))]
    assert len({native.batch(whole, way).tobytes() for way in ways}) == 1
    for bad in (array("d", values), np.array(values, np.float32)[::2], b"12345678"):
        with pytest.raises(ValueError, match="want contiguous float32"):
            native.batch(whole, bad)
    with pytest.raises(ValueError, match="3 values are no whole number of frames of 2 channels"):
        native.batch(program(4, 2, ALL, channels=2), array("f", [1, 2, 3]))
