from pathlib import Path

import pytest

from cloud_trainer.estimators import DEFAULTS, METRICS, able
from cloud_trainer.policies import CostSpec
from cloud_trainer.project import load, policy_for, write_template
from edge_runtime.errors import UsageError
from tests.datasets.sample import edit, write_project


def test_the_template_is_a_project_file(tmp_path: Path) -> None:
    write_template(tmp_path / "edgeloop.toml")
    project = load(tmp_path)
    assert project.train.estimators == DEFAULTS["labels"]
    assert [channel.column for channel in project.channels] == ["acc_x", "acc_y"]
    assert project.target == {"memory_bytes": 67108864, "latency_us": 1000}


def test_init_leaves_a_project_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "edgeloop.toml"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="there is a project file already"):
        write_template(path)
    assert path.read_text(encoding="utf-8") == "mine"


WRONG = [
    ("hop_frames = 8", "hop_frame = 8", "features.hop_frame: unknown key, did you mean 'hop_frames'"),
    ("hop_frames = 8", "hop_frames = 17", "features.hop_frames: want a whole number 1..16, got 17"),
    ("window_frames = 16", "window_frames = true", "features.window_frames: want a whole number 2..4096, got True"),
    ("[split]", "[spilt]", "spilt: unknown key, did you mean 'split'"),
    ("rate_hz = 10.0", "", "data.rate_hz: want a number above 0, up to 1e.06, it is missing"),
    ("rate_hz = 10.0", "rate_hz = nan", "data.rate_hz: want a number above 0"),
    ("rate_hz = 10.0", "rate_hz = 10.0\nformat = 'xlsx'", "data.format: want one of csv, csv.gz.*got 'xlsx'"),
    ("scale = 0.5", "scale = 0", r"channel\[0\].scale: want a number that is not 0, got 0"),
    ('name = "y"', 'name = "X"', r"channel\[1\].name: want each channel once"),
    ('name = "y"', 'name = "frame"', "none of recording, group, frame, label"),
    ('name = "sample"', 'name = "My Sample"', "project.name: want .*got 'My Sample'"),
    ('"forest"]', '"kmeans"]', "train.estimators: 'kmeans' does not predict labels, as 'logistic' asks"),
    ("[labels.index]", "[labels]\nvalues = ['x']\n[labels.index]", "want one of .* got index and values"),
    ('"forest"]', '"forrest"]', "train.estimators: want some of .*did you mean 'forest'"),
    ("test_fraction = 0.34", "test_fraction = 0.34\ntest = ['1']", "want test or test_fraction, got both"),
    ("test_fraction = 0.34", "test_fraction = 1.5", "split.test_fraction: want .*got 1.5"),
    (
        "[labels.index]",
        "[labels]\ncolumn = 'c'\n[labels.index]",
        "want one of pattern, column, intervals, index, values, got column and",
    ),
    ("[groups.index]", "[groups]\npattern = 'x'\n[groups.index]", "want at most one of .*pattern, index"),
    ("[split]", "[policy]\nk = 3\nn = 2\n[split]", "policy.k: want a whole number 1..2, got 3"),
    ("[split]", "[target]\nmemory_bytes = '64k'\n[split]", "target.memory_bytes: want a whole number .*got '64k'"),
    ("[project]", "[project", "Expected"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_a_wrong_key_is_named_with_its_value(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = edit(write_project(tmp_path), old, new)
    with pytest.raises(UsageError, match=message) as caught:
        load(path)
    assert caught.value.exit_code == 2


def test_a_pattern_needs_one_group(tmp_path: Path) -> None:
    path = edit(
        write_project(tmp_path), '[groups.index]\nfile = "takes.csv"\ncolumn = "take"', "[groups]\npattern = 'x'"
    )
    with pytest.raises(UsageError, match="has 0 groups, want 1"):
        load(path)


def test_root_takes_a_folder_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = edit(write_project(tmp_path), "[data]", '[data]\nroot = "${SAMPLE_DATA}/a"')
    monkeypatch.delenv("SAMPLE_DATA", raising=False)
    with pytest.raises(UsageError, match="SAMPLE_DATA, which is not set"):
        load(path)
    monkeypatch.setenv("SAMPLE_DATA", str(tmp_path))
    assert load(path).data.root == tmp_path / "a"


def test_a_missing_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file") as caught:
        load(tmp_path / "edgeloop.toml")
    assert "init" in caught.value.hint


def test_the_policy_has_one_threshold_a_label(tmp_path: Path) -> None:
    path = edit(write_project(tmp_path), "[split]", "[policy]\nthreshold = 0.5\nthresholds = {busy = 0.7}\n[split]")
    project = load(path)
    assert policy_for(project, ("busy", "idle")).thresholds_ppm == (700000, 500000)
    with pytest.raises(UsageError, match=r"policy.thresholds.busy: there is no such label"):
        policy_for(project, ("idle", "walk"))


def test_the_template_names_every_estimator(tmp_path: Path) -> None:
    write_template(tmp_path / "edgeloop.toml")
    text = (tmp_path / "edgeloop.toml").read_text(encoding="utf-8").replace("\n# ", " ")
    for task in METRICS:
        assert f"{task.capitalize()}: {', '.join(able(task))}." in text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("threshold = 0.5\nprecision = 0.9", r"policy\.precision: thresholds are chosen for it, .* policy\.threshold"),
        ("precision = 0.9\n[policy.cost]\nabstain = 0.1", r"policy\.precision: .* cannot stand beside policy\.cost"),
        ("precision = 1.0", r"policy\.precision: want below 1"),
        ("precision = 0", r"policy\.precision: want a number above 0"),
        ("[policy.cost]\nabstain = -1", r"policy\.cost\.abstain: want a number from 0"),
        ("[policy.cost]\nbusy = 3", r"policy\.cost\.busy: want a section \[policy\.cost\.busy\]"),
    ],
)
def test_a_policy_that_says_two_things_is_refused_by_key(text: str, says: str, tmp_path: Path) -> None:
    path = edit(write_project(tmp_path), "[split]", f"[policy]\n{text}\n[split]")
    with pytest.raises(UsageError, match=says):
        load(path)


def test_a_cost_is_read_by_true_label_and_label_told(tmp_path: Path) -> None:
    text = "[policy]\nk = 2\nn = 3\n[policy.cost]\nabstain = 0.2\n[policy.cost.idle]\nbusy = 5\n[split]"
    found = load(edit(write_project(tmp_path), "[split]", text)).policy
    assert found.cost == CostSpec(abstain=0.2, of={"idle": {"busy": 5.0}})
    assert (found.k, found.n, found.is_chosen) == (2, 3, True)
