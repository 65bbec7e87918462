"""The builder and the words of a project give one program."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from edge_runtime import native
from edge_runtime.contract.program import Channel, Program
from edge_runtime.errors import UsageError
from edge_runtime.features import ProgramBuilder, build_program, describe
from edge_runtime.features.operators import GroupOperators, NumberOperators, SeriesOperators, TextOperators
from tools.__main__ import ROOT


def builder() -> ProgramBuilder:
    return ProgramBuilder(rate_hz=100, window_s=2.56, hop_s=1.28)


def in_words(*features: str, **more: object) -> Program:
    channels = [Channel(name=f"acc_{axis}", unit="g") for axis in "xyz"] + [Channel(name="temp", unit="C", every=4)]
    return build_program(
        channels,
        rate_hz=100,
        window_frames=256,
        hop_frames=128,
        features=features,
        **more,  # type: ignore[arg-type]
    )


def test_the_builder_gives_the_program_of_the_same_words() -> None:
    p = builder()
    acc = p.channels("acc_x", "acc_y", "acc_z", unit="g")
    temp = p.channel("temp", unit="C", every=4)
    slow = acc.x.clip(-2, 2).decimate(2, name="slow", unit="m/s^2", taper="hann")
    acc.mean()
    temp.slope()
    slow.band_power(0.5, 4)
    acc.y.decimate(2).quantile(0.25)
    text = in_words(
        "acc_*:mean", "temp:slope", "slow:band_power(0.5,4)", "acc_y:decimate(2)|quantile(0.25)",
        derived={"slow": {"from": "acc_x:clip(-2,2)|decimate(2)", "unit": "m/s^2", "taper": "hann"}},
    )  # fmt: skip
    assert p.build() == text
    assert p.build().digest == text.digest
    assert [f.name for f in text.filters] == ["acc_x.clip(-2,2)", "slow", "acc_y.decimate(2)"]
    assert Program.from_bytes(text.to_bytes()) == text


def test_the_builder_takes_the_words_of_a_project_too() -> None:
    p = ProgramBuilder(rate_hz=8000, window_frames=512)
    p.channel("mic")
    names = p.features("mic:mfcc(0..12,40,256,128)", "rms")
    assert len(names) == 14
    assert names[-1] == "mic.rms"
    words = build_program(
        [Channel(name="mic", unit="")], rate_hz=8000, window_frames=512, hop_frames=512,
        features=["mic:mfcc(0..12,40,256,128)", "mic:rms"],
    )  # fmt: skip
    assert p.build().digest == words.digest


def test_a_channel_may_come_after_what_was_derived() -> None:
    p = builder()
    p.channel("a").decimate(2).mean()
    p.channel("b").max()
    program = p.build()
    assert [(f.name, f.channel) for f in program.features] == [("a.decimate(2).mean", 2), ("b.max", 1)]


def test_a_step_that_two_features_share_is_made_once() -> None:
    program = in_words("acc_x:decimate(2)|mean", "acc_x:decimate(2)|max")
    assert [f.name for f in program.filters] == ["acc_x.decimate(2)"]
    assert {f.channel for f in program.features} == {4}


def test_what_no_feature_reads_is_left_out() -> None:
    """Derived channels and fields cost state and instructions on every device; what others need stays."""
    p = builder()
    acc = p.channels("acc_x", "acc_y", unit="g")
    p.number("age").impute(38).log1p()
    acc.y.clip(-1, 1, name="idle").decimate(2)
    slow = acc.x.clip(-2, 2).decimate(2, name="slow")
    p.text("site").impute("north")
    slow.rms()
    acc.y.mean()
    program = p.build()
    assert [f.name for f in program.filters] == ["acc_x.clip(-2,2)", "slow"]
    assert [(f.name, f.channel) for f in program.features[:2]] == [("slow.rms", 3), ("acc_y.mean", 1)]
    assert [f.name for f in program.fields] == ["age", "site", "age.impute(38)"]
    idle = {"idle": "acc_y:clip(-1,1)", "none": "idle:decimate(2)"}
    assert in_words("acc_x:mean", derived=idle).digest == in_words("acc_x:mean").digest


def test_a_glob_sees_named_channels_alone() -> None:
    program = in_words("mean", "acc_x:clip(0,1)|max", derived={"low": "temp:clip(0,1)"})
    assert [f.name for f in program.features] == [
        "acc_x.mean", "acc_y.mean", "acc_z.mean", "temp.mean", "low.mean", "acc_x.clip(0,1).max",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("features", "derived", "message", "hint"),
    [
        (("mean",), {"low": "acc_q:clip(0,1)"}, "no channel is like 'acc_q', did you mean 'acc_", "acc_x, acc_y"),
        (("mean",), {"low": "acc_x:cilp(0,1)"}, "no operator 'cilp', did you mean 'clip'", "one of: calibrate, clip"),
        (("mean",), {"low": "acc_x:mean"}, "derived low = 'acc_x:mean': no operator 'mean'", "calibrate"),
        (("mean",), {"low": "acc_x:mean"}, "'mean' here: it is a window operator", "comes last"),
        (("acc_x:ema(1)",), {}, "'ema' here: it is a stream filter, wanted is a window operator", "one of: mean"),
        (("acc_x:standardise(1,2)",), {}, "'standardise' here: it is a row operator", "row operators are for fields"),
        (("acc_x:quantile",), {}, "quantile takes 1 parameter, got 0", "0 <= p <= 1"),
        (("acc_x:band_power(1,high)",), {}, "'high' is no number", "band_power(0.5,4)"),
        (("mean",), {"low": "acc_*:clip(0,1)"}, "clip takes one source, got 3", "one source"),
        (("mean",), {"acc_x": "temp:clip(0,1)"}, "'acc_x': there is one of this name already", "another name"),
        (("mean",), {"low": {"from": "temp:clip(0,1)", "tapir": "hann"}}, "unknown key 'tapir', did", "from, unit"),
        (("mean",), {"low": {"unit": "g"}}, "`from` is missing", "write e.g."),
        (("mean",), {"low": {"from": "temp:clip(0,1)", "taper": "han"}}, "did you mean 'hann'", "hamming"),
        (("acc_x:clip(1,0)|mean",), {}, "filter acc_x.clip(1,0): parameters (1.0, 0.0) are out of range", "lo < hi"),
        (("temp:decimate(3)|mean",), {}, "at 25 frames/s, window 64", "must divide window and hop"),
        (("temp:band_power(13,14)",), {}, "at 25 frames/s, window 64", "f0 <= 12.5 [Hz]"),
        (("acc_x:clip(0,1)||mean",), {}, "cannot be read", "acc_x:lowpass(5,1)|rms"),
        (("acc_x:" + "clip(0,1)|" * 9 + "mean",), {}, "at most 64 are allowed", "features.derived"),
    ],
)  # fmt: skip
def test_an_error_names_the_entry_and_what_to_do(
    features: tuple[str, ...], derived: dict[str, object], message: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        in_words(*features, derived=derived)
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_the_example_in_a_hint_is_one_that_builds() -> None:
    with pytest.raises(UsageError) as caught:
        in_words("rms(")
    examples = re.findall(r'"([^"]+)"', caught.value.hint)
    assert len(examples) == 4
    assert len(in_words(*examples).features) == 9


def test_the_builder_tells_mistakes_at_the_line_that_makes_them() -> None:
    p = builder()
    acc = p.channels("acc_x", "acc_y")
    acc.x.mean()
    with pytest.raises(UsageError, match=r"acc_x\.mean: listed twice"):
        acc.x.mean()
    with pytest.raises(UsageError, match="'acc_x': there is one"):
        p.channel("acc_x")
    with pytest.raises(UsageError, match=r"taper.*'hanning'"):
        p.channel("b", taper="hanning")
    with pytest.raises(AttributeError, match="group of acc_x, acc_y: none, or more than one, is 'z'"):
        _ = acc.z
    with pytest.raises(UsageError, match=r"window_s: 2\.555 s at 100 Hz are 255\.5 frames") as caught:
        ProgramBuilder(rate_hz=100, window_s=2.555)
    assert caught.value.hint == "write window_s=2.56, or window_frames=256"
    with pytest.raises(UsageError, match="belongs to another builder"):
        p.group(acc.x, builder().channel("c"))._joined("magnitude", (), "", None, "none")


def test_fields_go_through_steps_and_become_features_at_the_end() -> None:
    p = ProgramBuilder()
    age, colour, at = p.number("age"), p.text("colour"), p.number("at")
    age.impute(38).log1p().standardise(3.5, 0.5, name="age")
    age.missing()
    p.number("income").ratio(age.impute(38))
    colour.impute("none").one_hot("red", "green, dark")
    colour.ordinal(-1, "red", "green")
    at.hour_sin(60)
    program = p.build()
    text = build_program(
        [], rate_hz=1, window_frames=1, hop_frames=1,
        derived={"years": "age:impute(38)|log1p"},
        features=[
            "years:standardise(3.5,0.5)", "age:missing", 'colour:impute("none")|one_hot(red,"green, dark")',
            "colour:ordinal(-1,red,green)", "at:hour_sin(60)",
        ],
        fields={"age": "number", "colour": "text", "at": "number", "income": "number"},
    )  # fmt: skip
    assert [f.name for f in program.features] == [
        "age", "age.missing", "income,age.impute(38).ratio", "colour.impute(none).one_hot(red)",
        'colour.impute(none).one_hot("green, dark")', "colour.ordinal(-1,red,green)", "at.hour_sin(60)",
    ]  # fmt: skip
    assert [f.name for f in text.features][2:] == [f.name for f in program.features][3:]
    record = (None, "green, dark", 0, 76)
    ours, theirs = native.Rows(program).run(record), native.Rows(text).run(record)
    assert list(ours)[3:] == list(theirs)[2:] == [0.0, 1.0, -1.0, ours[6]]
    assert ours[0] == theirs[0]
    assert list(ours)[1:3] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("feature", "message", "hint"),
    [
        ("age:one_hot(red)", "'red' is no number, and age is a number field", "a number"),
        ("colour:log1p", "log1p", ""),
        ("size:value", "no field is like 'size'", "fields: age, colour"),
        ("age:valve", "no operator 'valve', did you mean 'value'", "impute"),
        ("age:product", "product takes 2 sources, got 1", "a,b:product"),
        ("age:standardise(1)", "age.standardise(1): standardise cannot take 1", "scale other than 0"),
        ("colour,age:product", "product cannot take colour, a text", "a text takes impute"),
        ("age,colour:ratio", "ratio cannot take colour, a text", "a text takes impute"),
        ("colour:hash_bucket", "hash_bucket cannot take no parameters", "a whole number of buckets"),
    ],
)
def test_a_bad_entry_of_a_field_is_named(feature: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        build_program(
            [Channel(name="acc", unit="g")], rate_hz=20, window_frames=20, hop_frames=20, features=[feature],
            fields={"age": "number", "colour": "text"},
        )  # fmt: skip
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_fields_stand_beside_windows_in_one_vector() -> None:
    program = build_program(
        [Channel(name="acc", unit="g")], rate_hz=20, window_frames=20, hop_frames=20,
        features=["colour:one_hot(red,green)", "mean", "age:clip(0,99)", "acc:clip(-1,1)|max"],
        fields={"age": "number", "colour": "text"},
    )  # fmt: skip
    assert [f.name for f in program.features] == [
        "acc.mean", "acc.clip(-1,1).max", "colour.one_hot(red)", "colour.one_hot(green)", "age.clip(0,99)",
    ]  # fmt: skip


def test_every_operator_of_the_table_is_a_method_with_words() -> None:
    for op in native.operators():
        kinds = (NumberOperators, TextOperators) if op.kind == "row" else (SeriesOperators, GroupOperators)
        methods = [getattr(of, op.name, None) for of in kinds]
        assert any(methods), f"{op.name}: run `make docs`"
        for method in filter(None, methods):
            assert inspect.getdoc(method)
            if op.kind == "row":
                continue
            names = [n for n, p in inspect.signature(method).parameters.items() if p.annotation == "float"]
            assert len(names) == op.n_params


def test_a_program_shows_itself() -> None:
    p = builder()
    slow = p.channel("acc", unit="g").decimate(4, name="slow")
    slow.slope()
    program = p.build()
    text = program.describe()
    assert text == describe(Program.from_bytes(program.to_bytes()))
    assert "slow     1002 decimate(4)  acc  g     25 Hz  " in text
    assert text.splitlines()[-1].startswith("slow.slope  22 slope  slow  (g)/s")
    html = program._repr_html_()
    assert "<td>slow.slope</td>" in html
    assert p._repr_html_() == html


def test_a_file_may_hold_the_program(tmp_path: Path) -> None:
    from cloud_trainer.project import load
    from tests.datasets.sample import edit, write_project

    path = write_project(tmp_path)
    program = load(path).program()
    (tmp_path / "program.json").write_bytes(program.to_bytes())
    start = path.read_text(encoding="utf-8").index("[features]")
    section = path.read_text(encoding="utf-8")[start:].split("\n[")[0]
    edit(path, section, '[features]\nprogram = "program.json"\n')
    assert load(path).program() == program
    edit(path, 'program = "program.json"', 'program = "program.json"\nhop_frames = 8')
    with pytest.raises(UsageError, match=r"features\.hop_frames: want nothing beside features\.program"):
        load(path)
    edit(path, "\nhop_frames = 8", "")
    edit(path, "rate_hz = 10.0", "rate_hz = 11.0")
    with pytest.raises(UsageError, match=r"program\.json: rate_hz 10 is not data\.rate_hz, 11"):
        load(path).program()
    edit(path, "rate_hz = 11.0", "rate_hz = 10.0")
    edit(path, "scale = 0.5", "scale = 0.25")
    with pytest.raises(UsageError, match=r"are not those of .*0\.5.*is not .*0\.25"):
        load(path).program()
    (tmp_path / "program.json").unlink()
    with pytest.raises(UsageError, match="No such file"):
        load(path).program()


@pytest.mark.parametrize(
    ("file", "digest"),
    [
        ("cloud_trainer/demo/project.toml", "18a0943017f2c95554ac3bcffbc8f742b7d670b7c4c1fe4f420ed1046754d1e7"),
        ("cloud_trainer/project/template.toml", "1f0fff17b0d76f0a37f837e55b87cd8f535f4fdf6f35725645edf7928072174c"),
        ("tests/flows/har.toml", "c726c481787defdb583378fbcaf127b9dccfffc64154a5397ca5cd9c51423d5e"),
    ],
)
def test_words_written_before_mean_the_same(file: str, digest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests from before derived channels, pairs and fields were there."""
    import re

    from cloud_trainer.project import load

    for name in re.findall(r"\$\{(\w+)\}", (ROOT / file).read_text(encoding="utf-8")):
        monkeypatch.setenv(name, "anywhere")
    assert load(ROOT / file).program().digest == digest
