from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_trainer.datasets import freeze
from cloud_trainer.features import FeatureTable, materialise
from cloud_trainer.project import Split
from cloud_trainer.project import load as load_project
from cloud_trainer.training import split
from cloud_trainer.training.split import choose
from cloud_trainer.workspace import Workspace
from edge_runtime.errors import ContractError, UsageError
from tests.datasets.sample import edit, write_project


def table_of(folder: Path, path: Path) -> FeatureTable:
    project = load_project(path)
    ws = Workspace(folder / "ws")
    return materialise(ws, freeze(project, ws), project.program())


@pytest.mark.parametrize("spec", [Split(test=("1",)), Split(test_fraction=0.34), Split(test_fraction=0.9)])
def test_no_group_is_on_both_sides(tmp_path: Path, spec: Split) -> None:
    table = table_of(tmp_path, write_project(tmp_path, takes=4))
    rows = split(table, spec)
    train = {table.groups[i] for i in rows.train}
    test = {table.groups[i] for i in rows.test}
    assert not train & test
    assert test == set(rows.test_groups)
    assert sorted([*rows.train, *rows.test]) == list(range(len(table.y)))
    assert {*table.y[rows.train]} == {*table.y[rows.test]} == {0, 1}


def test_a_split_by_window_would_be_caught(tmp_path: Path) -> None:
    """The planted bug: rows drawn one by one put every group on both sides."""
    table = table_of(tmp_path, write_project(tmp_path))
    drawn = np.random.default_rng(1).permutation(len(table.y))
    train, test = drawn[:40], drawn[40:]
    assert {table.groups[i] for i in train} & {table.groups[i] for i in test}


def test_a_label_in_one_group_is_refused(tmp_path: Path) -> None:
    path = write_project(tmp_path)
    edit(tmp_path / "takes.csv", "busy-1.csv,busy,1", "busy-1.csv,rare,1")
    table = table_of(tmp_path, path)
    with pytest.raises(ContractError, match=r"label 'rare' occurs in one group only \('1', 11 windows\)") as caught:
        split(table, Split())
    assert "another group" in caught.value.hint


def test_a_label_shorter_than_a_window_is_refused(tmp_path: Path) -> None:
    path = write_project(tmp_path)
    edit(path, '[labels.index]\nfile = "takes.csv"\nlabel_column = "label"', '[labels]\ncolumn = "act"')
    for file in (tmp_path / "rec").iterdir():
        lines = file.read_text(encoding="utf-8").splitlines()[1:]
        text = "\n".join(f"{row},{'blip' if n < 10 else file.name[:4]}" for n, row in enumerate(lines))
        file.write_text("x,y,act\n" + text, encoding="utf-8")
    with pytest.raises(ContractError, match=r"label 'blip' has no window"):
        split(table_of(tmp_path, path), Split())


def test_one_label_is_no_task(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="'idle' is all there is"):
        split(table_of(tmp_path, write_project(tmp_path, labels=("idle",))), Split())


def test_a_test_group_that_is_not_there_is_named(tmp_path: Path) -> None:
    table = table_of(tmp_path, write_project(tmp_path))
    with pytest.raises(UsageError, match="there is no group '7'") as caught:
        split(table, Split(test=("1", "7")))
    assert caught.value.hint == "groups: 0, 1, 2"
    with pytest.raises(ContractError, match="label 'busy' has no window in training"):
        split(table, Split(test=("0", "1", "2")))


GROUPS = st.dictionaries(
    st.text("abcdef", min_size=1), st.sets(st.sampled_from("xyz"), min_size=1), min_size=2, max_size=12
)


@given(groups=GROUPS, fraction=st.floats(0.05, 0.9), seed=st.integers(0, 9))
def test_the_choice_leaves_every_label_in_training(groups: dict[str, set[str]], fraction: float, seed: int) -> None:
    pairs = [(label, group) for group, labels in groups.items() for label in labels]
    labels, names = [label for label, _ in pairs], [group for _, group in pairs]
    chosen = set(choose(labels, names, fraction, seed=seed))
    assert chosen <= set(groups)
    for label in set(labels):
        assert {group for group in groups if label in groups[group]} - chosen
    assert tuple(sorted(chosen)) == choose(labels[::-1], names[::-1], fraction, seed=seed)


def test_where_every_group_has_every_label_the_fraction_is_kept() -> None:
    groups = [str(i) for i in range(20)] * 2
    labels = ["a"] * 20 + ["b"] * 20
    assert len(choose(labels, groups, 0.25, seed=1)) == 5
    assert choose(labels, groups, 0.25, seed=1) != choose(labels, groups, 0.25, seed=2)
