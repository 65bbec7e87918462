"""Statistics frozen at training: those of scikit-learn, of training groups alone, and then part of the program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cloud_trainer.datasets import DatasetVersion, freeze, read_frames
from cloud_trainer.datasets.content import joined
from cloud_trainer.definition import is_open, program_for, program_of
from cloud_trainer.features import fit_entries, materialise
from cloud_trainer.features.fit import Columns
from cloud_trainer.project import Project
from cloud_trainer.project import load as load_project
from cloud_trainer.training.split import split
from cloud_trainer.workspace import Workspace
from edge_runtime.errors import UsageError

TOML = """
[project]
name = "pumps"
[data]
files = ["pumps.csv"]
[[field]]
name = "age"
[[field]]
name = "colour"
kind = "text"
[labels]
column = "state"
[features]
list = ["age:impute(median)|standardise", "age:missing", "colour:impute(most_frequent)|one_hot", "colour:unknown"]
"""


def pumps(folder: Path, toml: str = TOML, n: int = 400) -> tuple[Project, Workspace, DatasetVersion]:
    rng = np.random.default_rng(3)
    age, colour = rng.normal(40, 13, n), rng.choice(["red", "green", "blue"], n, p=[0.5, 0.3, 0.2])
    lines = ["age,colour,state"]
    for i in range(n):
        cells = ("" if i % 11 == 0 else repr(float(age[i])), "" if i % 7 == 0 else colour[i], "worn" if i % 3 else "ok")
        lines.append(",".join(map(str, cells)))
    (folder / "pumps.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "edgeloop.toml").write_text(toml, encoding="utf-8")
    project, ws = load_project(folder), Workspace(folder / "ws")
    return project, ws, freeze(project, ws)


def training(project: Project, ws: Workspace, version: DatasetVersion) -> tuple[np.ndarray, list[str | None]]:
    """The training rows, found by the split that training makes."""
    table = materialise(ws, version, program_for(project, ws, version))
    rows = split(table, project.split)
    recordings = [r for r in read_frames(ws, version) if r.group not in rows.test_groups]
    assert 0 < len(recordings) < version.recordings
    age = np.concatenate([np.asarray(r.fields["age"], dtype=np.float64) for r in recordings])
    return age, [value for r in recordings for value in r.fields["colour"] if isinstance(value, str) or value is None]


def test_statistics_are_those_of_scikit_learn_on_the_training_groups(tmp_path: Path) -> None:
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import StandardScaler

    project, ws, version = pumps(tmp_path)
    age, colour = training(project, ws, version)
    imputed = SimpleImputer(strategy="median").fit(age[:, None])
    scaler = StandardScaler().fit(imputed.transform(age[:, None]))
    program = program_for(project, ws, version)
    impute, scale = program.fields[2], next(f for f in program.features if "standardise" in f.name)
    assert impute.params == (imputed.statistics_[0],)
    np.testing.assert_allclose(scale.params, (scaler.mean_[0], scaler.scale_[0]), rtol=1e-7)
    assert [f.words for f in program.features if "one_hot" in f.name] == [("blue",), ("green",), ("red",)]
    assert program.fields[3].words == ("red",)
    assert colour.count(None) > 10


def test_a_program_is_fitted_once_for_a_dataset(tmp_path: Path) -> None:
    """The same data give the same digest; other training rows another one."""
    project, ws, version = pumps(tmp_path)
    assert program_for(project, ws, version).digest == program_for(project, ws, version).digest
    other = load_project(_edit(tmp_path, "[features]", "[split]\nseed = 2\n\n[features]"))
    assert program_for(other, ws, version).digest != program_for(project, ws, version).digest


def test_names_stay_when_the_numbers_change(tmp_path: Path) -> None:
    """A feature is named after the entry as it was written: the fleet's tables and baselines outlive a retraining."""
    project, _, _ = pumps(tmp_path)
    names = []
    for scale in (1.0, 3.0):
        columns: Columns = {"age": scale * np.array([1.0, 2.0, 4.0, np.nan]), "colour": ["b", None, "a", "b"]}
        program = program_of(project, columns)
        names.append([field.name for field in program.fields] + [feature.name for feature in program.features])
    assert names[0] == names[1]
    assert names[0] == [
        "age", "colour", "age.impute(median)", "colour.impute(most_frequent)", "age.impute(median).standardise",
        "age.missing", "colour.impute(most_frequent).one_hot(a)", "colour.impute(most_frequent).one_hot(b)",
        "colour.unknown",
    ]  # fmt: skip


def test_a_name_need_not_hold_the_edges(tmp_path: Path) -> None:
    """63 edges in a name would be more than a name may have."""
    entry = '["age:bucketise(quantiles,64)|one_hot(0,1)", "age:bucketise(quantiles,64)"]'
    list_ = TOML[TOML.index("list = ") + 7 :].strip()
    project, ws, version = pumps(tmp_path, TOML.replace(list_, entry))
    names = [feature.name for feature in program_for(project, ws, version).features]
    wide = "age.bucketise(quantiles,64)"
    assert names == [f"{wide}.one_hot(0)", f"{wide}.one_hot(1)", wide]


@pytest.mark.planted
def test_a_statistic_over_test_rows_is_seen(tmp_path: Path) -> None:
    """The planted bug: statistics of every row, those of test included."""
    project, ws, version = pumps(tmp_path)
    everything: Columns = {
        field.name: joined([r.fields[field.name] for r in read_frames(ws, version)]) for field in version.fields
    }
    leaked = program_of(project, everything)
    age, _ = training(project, ws, version)
    right = next(f for f in program_for(project, ws, version).features if "standardise" in f.name).params[0]
    wrong = next(f for f in leaked.features if "standardise" in f.name).params[0]
    mean = float(np.where(np.isnan(age), np.nanmedian(age), age).mean())
    assert abs(right - mean) < 1e-5 < abs(wrong - mean)


COLUMNS: Columns = {"x": np.array([1.0, 2.0, 4.0, np.nan, 9.0]), "word": ["b", None, "a", "b", 'c"d']}


@pytest.mark.parametrize(
    ("entry", "fitted"),
    [
        ("x:min_max", ["x:min_max(1,9,0)"]),
        ("x:robust_scale", ["x:robust_scale(3,3.5)"]),
        ("x:impute(mean)", ["x:impute(4)"]),
        ("x:bucketise(quantiles,2)", ["x:bucketise(3)"]),
        ("x:log1p|standardise", None),
        ("x:one_hot", ["x:one_hot(1,2,4,9)"]),
        ("word:ordinal", ['word:ordinal(-1,"a","b","c\\"d")']),
        ("word:impute(most_frequent)", ["word:impute(b)"]),
        ("x:clip(0,5)", ["x:clip(0,5)"]),
        ("word:one_hot(a,b)", ["word:one_hot(a,b)"]),
        ("word:ordinal(-1,a,b)|min_max", ["word:ordinal(-1,a,b)|min_max(-1,1,0)"]),
    ],
)
def test_an_entry_becomes_one_with_numbers(entry: str, fitted: list[str] | None) -> None:
    made = fit_entries([entry], COLUMNS)
    if fitted is None:
        logs = np.log1p(np.array([1.0, 2.0, 4.0, 9.0]))
        numbers = [float(part) for part in made[0].text.partition("standardise(")[2].rstrip(")").split(",")]
        np.testing.assert_allclose(numbers, (logs.mean(), logs.std()), rtol=1e-6)
        return
    assert [each.text for each in made] == fitted


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("nothing:standardise", "no field is like it"),
        ("word:impute(mean)", "a text has no mean"),
        ("x:bucketise(quantiles)", "how many bins is not said"),
        ("word:standardise", "standardise takes numbers, and this is a text"),
        ("word:bucketise(quantiles,4)", "bucketise takes numbers, and this is a text"),
        ("x:one_hot|standardise", "it is 4 features, and a statistic is of one"),
        ("word:one_hot|min_max", "it is 3 features, and a statistic is of one"),
    ],
)
def test_a_statistic_that_cannot_be_is_refused(entry: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        fit_entries([entry], COLUMNS)


def test_without_data_the_project_says_what_to_do(tmp_path: Path) -> None:
    project, _, _ = pumps(tmp_path)
    assert is_open(project)
    with pytest.raises(UsageError, match="a statistic comes from training data"):
        project.program()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "age"', 'name = "aged"', "no field 'aged' of kind number"),
        ('kind = "text"', "", "'colour' of kind number"),
    ],
)
def test_a_dataset_with_other_fields_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    _, ws, version = pumps(tmp_path)
    with pytest.raises(UsageError, match=says) as caught:
        program_for(load_project(_edit(tmp_path, old, new)), ws, version)
    assert "it has age (number), colour (text)" in caught.value.hint


def test_a_derived_field_is_one_field(tmp_path: Path) -> None:
    project, ws, version = pumps(tmp_path, TOML.replace("[features]", '[features]\nderived = { z = "*:unknown" }'))
    with pytest.raises(UsageError, match=r"derived z = '\*:unknown': it is 2 fields, and one is wanted"):
        program_for(project, ws, version)


def _edit(folder: Path, old: str, new: str) -> Path:
    path = folder / "edgeloop.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path
