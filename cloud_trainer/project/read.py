"""From `edgeloop.toml` to a project. One rule: a key that is not known here is refused.

It reads the one file; whether the data are as it says is the matter of `cloud_trainer.datasets`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from cloud_trainer.estimators import DEFAULTS, ESTIMATORS, METRICS, able
from cloud_trainer.policies import read_policy, read_retrain
from cloud_trainer.project.spec import (
    RUNTIME,
    ChannelSpec,
    Data,
    Features,
    FieldSpec,
    Groups,
    Index,
    Intervals,
    Labels,
    Project,
    Split,
    Train,
)  # fmt: skip
from cloud_trainer.seasons import read_seasons
from cloud_trainer.section import Section, did_you_mean
from cloud_trainer.task import Task
from edge_runtime.contract.timing import MAX_GAP, TIME_POLICIES, Timing
from edge_runtime.errors import UsageError
from edge_runtime.sources.cells import TIME_UNITS, TimeField

FILE = "edgeloop.toml"
BUDGET = ("state_bytes", "model_bytes", "memory_bytes", "latency_us", "record_bytes_day")
PRECISIONS = ("auto", "float32", "int8")
RESERVED = ("recording", "group", "frame", "label", "time_us")
_CHANNEL = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_ID = re.compile(r"[a-z0-9-]{1,64}")


def load(path: Path | str = FILE) -> Project:
    """The project that the file at `path` describes.

    Raises:
        UsageError: It cannot be read, or a key is unknown, missing or out of range: names the key.
    """
    path = Path(path).absolute()
    if path.is_dir():
        path = path / FILE
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as why:
        text = (why.strerror or str(why)) if isinstance(why, OSError) else str(why)
        hint = "`cloud-trainer init` writes one" if isinstance(why, FileNotFoundError) else "want TOML in UTF-8"
        raise UsageError(f"project file {path}: {text}", hint=hint) from why
    top = Section(path, "", document)
    head = top.section("project")
    fields = _fields(top)
    channels = _channels(top, fields)
    labels, target = _labels(top.section("labels")), top.section("target", optional=True)
    project = Project(
        path=path,
        name=head.text("name", match=_ID, want="[a-z0-9-], 1..64 characters"),
        channels=channels,
        fields=fields,
        data=_data(top.section("data"), is_tabular=not channels),
        labels=labels,
        groups=_groups(top.section("groups", optional=True)),
        features=_features(top.section("features"), is_tabular=not channels),
        split=_split(top.section("split", optional=True)),
        train=_train(top.section("train", optional=True), has_values=bool(labels.values)),
        target=_target(target),
        precision=target.choice("precision", "auto", of=PRECISIONS),
        runtime=target.text("onnxruntime", RUNTIME),
        policy=read_policy(top.section("policy", optional=True)),
        retrain=read_retrain(top.section("retrain", optional=True)),
        seasons=read_seasons(top.section("drift", optional=True)),
    )
    head.done()
    target.done()
    top.done()
    return project


def write_template(path: Path) -> None:
    """Write the commented project file to `path`.

    Raises:
        UsageError: There is one already, or the place cannot be written.
    """
    template = (Path(__file__).parent / "template.toml").read_text(encoding="utf-8")
    try:
        with path.open("x", encoding="utf-8") as out:
            out.write(template)
    except FileExistsError:
        raise UsageError(f"{path}: there is a project file already", hint="edit it, or name another folder") from None
    except OSError as why:
        raise UsageError(f"{path}: {why.strerror}", hint="name a folder that exists and can be written") from why


def _fields(top: Section) -> tuple[FieldSpec, ...]:
    fields: list[FieldSpec] = []
    for section in top.sections("field") if top.has("field") else ():
        name = _column_name(section, "field", [other.name for other in fields])
        kind = section.choice("kind", "number", of=("number", "text"))
        fields.append(FieldSpec(name=name, column=section.text("column", name), kind=kind))
        section.done()
    return tuple(fields)


def _channels(top: Section, fields: Sequence[FieldSpec]) -> tuple[ChannelSpec, ...]:
    channels: list[ChannelSpec] = []
    for section in top.sections("channel") if top.has("channel") or not fields else ():
        name = _column_name(section, "channel", [f.name for f in fields] + [c.name for c in channels])
        scale = section.number("scale", 1.0, low=-1e30, high=1e30)
        if scale == 0:
            raise section.wrong("scale", "a number that is not 0")
        channels.append(
            ChannelSpec(
                name=name,
                column=section.text("column", name),
                unit=section.text("unit"),
                scale=scale,
                offset=section.number("offset", 0.0, low=-1e30, high=1e30),
                every=section.integer("every", 1, low=1, high=2048),
                taper=section.choice("taper", "none", of=("none", "hann", "hamming")),
            )
        )
        section.done()
    return tuple(channels)


def _column_name(section: Section, what: str, taken: Sequence[str]) -> str:
    name = section.text("name", match=_CHANNEL, want="a letter, then letters, digits, _, up to 64")
    if name.lower() in {*RESERVED, *(other.lower() for other in taken)}:
        raise section.wrong("name", f"each {what} once, and none of {', '.join(RESERVED)}")
    return name


def _data(section: Section, *, is_tabular: bool) -> Data:
    section.choice("format", "csv", of=("csv", "csv.gz", "wav", "parquet"))
    data = Data(
        root=_folder(section),
        files=section.texts("files"),
        rate_hz=section.number("rate_hz", 1.0 if is_tabular else None, low=0, high=1e6, open_low=True),
        time=None if is_tabular else _time(section),
    )
    section.done()
    return data


def _time(section: Section) -> TimeField | None:
    given = [unit for unit in TIME_UNITS if section.has(unit)]
    if len(given) > 1:
        raise section.wrong(given[1], f"one time column, and {section.key(given[0])} is one")
    return TimeField(section.text(given[0]), TIME_UNITS[given[0]]) if given else None


def _folder(section: Section) -> Path:
    text = section.text("root", ".")
    for name in re.findall(r"\$\{(\w+)\}", text):
        if name not in os.environ:
            raise UsageError(
                f"data.root: {text!r} names the variable {name}, which is not set",
                hint=f"export {name}=FOLDER",
            )
        text = text.replace(f"${{{name}}}", os.environ[name])
    return (section.path.parent / text).absolute()


def _index(section: Section, column: str) -> Index:
    index = Index(
        file=section.text("file"),
        file_column=section.text("file_column", "file"),
        column=section.text(column),
    )
    section.done()
    return index


def _labels(section: Section) -> Labels:
    ways = [name for name in ("pattern", "column", "intervals", "index", "values") if section.has(name)]
    if len(ways) != 1:
        raise UsageError(
            f"labels: want one of pattern, column, intervals, index, values, got {' and '.join(ways) or 'none'}",
            hint="see the comments that `cloud-trainer init` writes",
        )
    names = section.section("names", optional=True).rest()
    for key, value in names.items():
        if not isinstance(value, str) or not value:
            raise UsageError(f"labels.names.{key}: want the label's name as text, got {value!r}")
    labels = Labels(
        pattern=_pattern(section),
        column=section.text("column", ""),
        intervals=_intervals(section.section("intervals")) if ways == ["intervals"] else None,
        index=_index(section.section("index"), "label_column") if ways == ["index"] else None,
        names={key: str(value) for key, value in names.items()},
        ignore=section.texts("ignore", ()),
        values=section.texts("values", ()),
    )
    if labels.values and (labels.names or labels.ignore):
        raise section.wrong("names" if labels.names else "ignore", "nothing beside labels.values, which are numbers")
    section.done()
    return labels


def _intervals(section: Section) -> Intervals:
    intervals = Intervals(
        file=section.text("file"),
        recording=section.text("recording"),
        start=section.text("start", "start"),
        end=section.text("end", "end"),
        label=section.text("label", "label"),
        first=section.integer("first", 0, low=0, high=1),
        end_inclusive=section.flag("end_inclusive", default=True),
    )
    section.done()
    return intervals


def _groups(section: Section) -> Groups:
    ways = [name for name in ("pattern", "column", "index") if section.has(name)]
    if len(ways) > 1:
        raise UsageError(f"groups: want at most one of pattern, column, index, got {', '.join(ways)}")
    groups = Groups(
        pattern=_pattern(section),
        column=section.text("column", ""),
        index=_index(section.section("index"), "column") if ways == ["index"] else None,
    )
    section.done()
    return groups


def _pattern(section: Section) -> str:
    pattern, key = section.text("pattern", ""), section.key("pattern")
    try:
        n_groups = re.compile(pattern).groups
    except re.error as why:
        raise UsageError(f"{key}: {pattern!r} is no regular expression: {why}") from why
    if pattern and n_groups != 1:
        raise UsageError(f"{key}: {pattern!r} has {n_groups} groups, want 1", hint=r"such as 'user(\d+)'")
    return pattern


def _features(section: Section, *, is_tabular: bool) -> Features:
    if section.has("program"):
        features = Features(program=section.path.parent / section.text("program"))
        for other in ("list", "window_frames", "hop_frames", "derived", "timing"):
            if section.has(other):
                raise section.wrong(other, "nothing beside features.program, which says all of it")
        section.done()
        return features
    window = 1 if is_tabular else section.integer("window_frames", low=2, high=4096)
    features = Features(
        window_frames=window,
        hop_frames=section.integer("hop_frames", window, low=1, high=window),
        list=section.texts("list"),
        derived=_derived(section.section("derived", optional=True)),
        timing=_timing(section.section("timing")) if section.has("timing") else Timing(),
    )
    section.done()
    return features


def _timing(section: Section) -> Timing:
    policy = section.choice("policy", "", of=TIME_POLICIES)
    most = section.integer("most_frames", low=1, high=MAX_GAP) if policy != "none" else 0
    section.done()
    return Timing(policy=policy, most_frames=most)


def _derived(section: Section) -> dict[str, str | Mapping[str, str]]:
    found: dict[str, str | Mapping[str, str]] = {}
    for name, value in section.rest().items():
        if isinstance(value, str):
            found[name] = value
            continue
        if (
            not isinstance(value, dict)
            or not all(isinstance(each, str) for each in value.values())
            or "from" not in value
        ):
            raise section.wrong(
                name, 'text such as "acc_x:lowpass(5,0.7071)", or { from = ..., unit = ..., taper = ... }'
            )
        found[name] = value
    return found


def _split(section: Section) -> Split:
    section.choice("by", "group", of=("group",))
    if section.has("test") and section.has("test_fraction"):
        raise UsageError("split: want test or test_fraction, got both", hint="leave one out")
    split = Split(
        test=section.texts("test") if section.has("test") else (),
        test_fraction=section.number("test_fraction", 0.25, low=0, high=0.9, open_low=True),
        seed=section.integer("seed", 1, low=0, high=2**31),
    )
    section.done()
    return split


def _train(section: Section, *, has_values: bool) -> Train:
    chosen = section.texts("estimators", DEFAULTS["values" if has_values else "labels"])
    for name in chosen:
        if name not in ESTIMATORS:
            raise section.wrong("estimators", f"some of {', '.join(ESTIMATORS)}{did_you_mean(name, ESTIMATORS)}")
    task: Task = "values" if has_values else next(iter(ESTIMATORS[chosen[0]].classes)) if chosen else "labels"
    for name in chosen:
        if task not in ESTIMATORS[name].classes or (task == "values") != has_values:
            raise UsageError(
                f"{section.key('estimators')}: {name!r} does not predict {task}, as "
                f"{'labels.values' if has_values else repr(chosen[0])} asks",
                hint=f"use {', '.join(able(task))}"
                if has_values or name != chosen[0]
                else "name columns in labels.values",
            )
    params = {name: section.section(name, optional=True).rest() for name in ESTIMATORS if section.has(name)}
    train = Train(
        task=task,
        estimators=tuple(dict.fromkeys(chosen)),
        metric=section.choice("metric", METRICS[task][0], of=METRICS[task]),
        seed=section.integer("seed", 1, low=0, high=2**31),
        params=params,
        normal=section.texts("normal", ()) if task == "outliers" else (),
    )
    section.done()
    return train


def _target(section: Section) -> dict[str, int]:
    return {name: section.integer(name, low=1, high=2**53) for name in BUDGET if section.has(name)}
