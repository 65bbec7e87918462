"""Feature lists as people write them."""

from __future__ import annotations

import pytest

from edge_runtime import native
from edge_runtime.contract.program import Channel, Feature, Program
from edge_runtime.errors import ContractError, UsageError
from edge_runtime.features import build_program, describe

CHANNELS = [Channel(name=name, unit="g") for name in ("acc_x", "acc_y", "temp")]


def build(*features: str) -> Program:
    return build_program(CHANNELS, rate_hz=20.0, window_frames=40, hop_frames=20, features=features)


def test_a_word_is_for_every_channel_and_a_glob_for_some() -> None:
    names = [f.name for f in build("mean", "acc_*:band_power(0.5, 4.0)", "temp:max").features]
    assert names == [
        "acc_x.mean", "acc_y.mean", "temp.mean",
        "acc_x.band_power(0.5,4)", "acc_y.band_power(0.5,4)", "temp.max",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        ("curtosis", "no operator 'curtosis'", "mean, std"),
        ("gyro_*:rms", "no channel is like 'gyro_*'", "acc_x, acc_y, temp"),
        ("mean(2)", "mean takes 0 parameters, got 1", ""),
        ("band_power(1)", "band_power takes 2 parameters, got 1", ""),
        ("band_power(a,b)", "'a' is no number", "band_power(0.5,4)"),
        ("band_power(4,1)", r"feature acc_x.band_power(4,1): parameters (4.0, 1.0) are out of range", "f0 < f1"),
        ("band_power(11,12)", "out of range at 20 frames/s", "f0 <= 10 [Hz]"),
        ("band_power(4,4)", "out of range at 20 frames/s", "f0 < f1"),
        (
            "acc_x:band_power(4,10.6)",
            "acc_x.band_power(4,10.6): f1 10.6 Hz is above half the rate, 10 Hz",
            "up to 10.5",
        ),
        ("acc_x:decimate(2)|band_power(4,6)", "f1 6 Hz is above half the rate, 5 Hz", "write f1 = 5"),
        ("quantile(1..0)", "1..0 is no range of 1..1024 numbers", "the lesser number first"),
        ("goertzel(1..2000)", "1..2000 is no range of 1..1024 numbers", "at most 1024 features"),
        ("ema(1..3)|rms", "'1..3' is no number", "band_power(0.5,4)"),
        ("mfcc(0..12,12,40,20)", "acc_x.mfcc(12,12,40,20): parameters", "coefficient < mels"),
        ("autocorrelation(40)", "out of range at 20 frames/s, window 40", "a whole lag, 1 <= lag < 40 [frames]"),
        ("quantile(25)", "parameters (25.0,) are out of range", "quantile wants 0 <= p <= 1"),
        ("goertzel(10)", "out of range", "0 < f < 10 [Hz]"),
        ("histogram_entropy(2.5)", "out of range", "2 <= bins <= 256"),
        ("me an", "cannot be read", "rms"),
        ("", "cannot be read", "rms"),
    ],
)
def test_a_bad_entry_is_named_with_what_there_is(spec: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        build(spec)
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_a_range_is_a_feature_for_each_of_its_numbers() -> None:
    names = [f.name for f in build("acc_*:mfcc(0..12, 20, 40, 20)", "temp:mel(3..3,20,40,20)").features]
    assert names[:13] == [f"acc_x.mfcc({k},20,40,20)" for k in range(13)]
    assert names[13:26] == [f"acc_y.mfcc({k},20,40,20)" for k in range(13)]
    assert names[26:] == ["temp.mel(3,20,40,20)"]
    assert len(build("acc_x:autocorrelation(1..9)", "acc_x:quantile(0..1)").features) == 11


def test_a_band_may_take_the_last_bin_in() -> None:
    assert [f.params[1] for f in build("temp:band_power(4,10)", "temp:band_power(4,10.5)").features] == [10.0, 10.5]


def test_an_entry_listed_twice_is_named() -> None:
    with pytest.raises(UsageError, match=r"acc_x\.mean: listed twice"):
        build("mean", "acc_x:mean")


def test_an_operator_of_a_newer_build_is_refused_by_number() -> None:
    newer = Program(
        rate_hz=20.0,
        channels=tuple(CHANNELS),
        window_frames=40,
        hop_frames=20,
        features=(Feature(name="acc_x.new", op=77, channel=0),),
    )
    with pytest.raises(ContractError, match=r"feature acc_x\.new: operator 77 is not in this build \(1\.\.\d+\)"):
        native.check_program(newer)
    with pytest.raises(ContractError, match="operator 77"):
        native.batch(newer, memoryview(b""))


def test_the_table_names_every_feature_with_its_unit() -> None:
    text = describe(build("median", "temp:band_power(0,2)"))
    assert "window 40 frames (2 s), hop 20 (1 s), 4 features" in text
    assert "acc_x.median" in text
    assert "temp   (g)^2" in text.splitlines()[-1]
    assert "temp  (g)/s" in describe(build("temp:slope"))
