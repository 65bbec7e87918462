from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from typer.testing import CliRunner

from cloud_trainer.cli.export import register
from cloud_trainer.export import Exported, budget, export, models
from cloud_trainer.export.decide import decide_rows
from cloud_trainer.export.exporter import next_version
from edge_runtime.contract.order import Signature
from edge_runtime.engines import load_bundle, open_engine
from edge_runtime.errors import BudgetError, ContractError, UsageError
from edge_runtime.update.inspect import inspect
from tests.export.made import digits, policy, signal_table, trained

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def made(estimator: Any, out: Path, *, n_classes: int = 10, **options: Any) -> Exported:
    run, table = trained(estimator, *digits(n_classes))
    return export(run, table=table, name="digits", version=2, policy=policy(n_classes), out_dir=out, **options)


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return made(RandomForestClassifier(20, random_state=0), tmp_path_factory.mktemp("forest"))


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    estimator = make_pipeline(StandardScaler(), MLPClassifier((32,), max_iter=60, random_state=0))
    return made(estimator, tmp_path_factory.mktemp("mlp"))


def test_a_forest_runs_natively_and_always_carries_onnx(forest: Exported) -> None:
    bundle = load_bundle(forest.path)
    assert (bundle.manifest.engine, bundle.manifest.precision) == ("native", "float64")
    assert list(bundle.members) == ["program.json", "model.onnx", "model.erm", "baseline.json", "golden.json"]
    assert forest.path.name == f"digits-2-{bundle.digest[:12]}.elb"
    assert bundle.digest == forest.digest


def test_the_manifest_carries_the_evidence(forest: Exported) -> None:
    rows = {(row["form"], row["batch"], row["kind"]): row for row in forest.manifest.evidence}
    assert set(rows) == {
        (form, batch, kind)
        for form, batch in (("onnx", "1"), ("onnx", "all"), ("native", "1"))
        for kind in ("test", "threshold", "tied", "extreme")
    }
    assert all(row["labels_differ"] == 0 and row["max_score_diff"] == 0 for row in rows.values())
    assert rows["native", "1", "threshold"]["rows"] == 300
    assert rows["native", "1", "tied"]["rows"] > 20


@pytest.mark.parametrize(
    ("estimator", "precision"),
    [
        (HistGradientBoostingClassifier(max_iter=5), "float64"),
        (make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)), "float64"),
        (CalibratedClassifierCV(make_pipeline(StandardScaler(), LinearSVC()), cv=2), "float64"),
        (make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=60, random_state=0)), "float32"),
    ],
)
def test_every_estimator_of_the_table_runs_natively(estimator: Any, precision: str, tmp_path: Path) -> None:
    exported = made(estimator, tmp_path, n_classes=3)
    bundle = load_bundle(exported.path)
    assert bundle.manifest.engine == "native"
    assert bundle.manifest.precision in (precision, "int8")
    assert {"model.onnx", "model.erm"} <= set(bundle.members)
    proven = {(row["form"], row["kind"]) for row in exported.evidence}
    assert {("native", "test"), ("native", "extreme"), ("onnx", "test")} <= proven
    assert open_engine(bundle).nbytes == len(bundle.members["model.erm"])
    inspect(bundle)


def test_what_has_no_native_form_runs_on_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "native_form", lambda _: None)
    exported = made(make_pipeline(StandardScaler(), LogisticRegression()), tmp_path, n_classes=2)
    manifest = load_bundle(exported.path).manifest
    assert manifest.engine == "onnxruntime"
    assert manifest.extra["why"]["engine"] == "onnxruntime: the C core has no form of this estimator"
    assert [member.name for member in manifest.members] == [
        "program.json",
        "model.onnx",
        "baseline.json",
        "golden.json",
    ]


def test_the_summary_tells_the_bytes_of_every_form(forest: Exported) -> None:
    sizes = forest.sizes
    assert sizes["model.erm"] < sizes["model.onnx"]
    why = forest.manifest.extra["why"]["engine"]
    assert f"({sizes['model.erm']} bytes against {sizes['model.onnx']} of model.onnx)" in why


def test_int8_is_measured_and_the_manifest_says_why(mlp: Exported) -> None:
    why = mlp.manifest.extra["why"]["precision"]
    assert "bytes against" in why
    assert why.startswith(mlp.manifest.precision)
    assert mlp.sizes["model.int8.onnx"] < mlp.sizes["model.onnx"]
    assert mlp.sizes["model.int8.erm"] < mlp.sizes["model.onnx"]
    assert set(mlp.latency_us) == {"model.onnx", "model.int8.onnx", "model.erm", "model.int8.erm"}
    assert [row["form"] for row in mlp.evidence][-2:] == ["onnx int8", "native int8"]
    carried = "model.int8.onnx" in load_bundle(mlp.path).members
    assert carried == (mlp.manifest.precision == "int8")


def test_int8_takes_over_where_only_it_fits(tmp_path: Path) -> None:
    x, y, recording, window = signal_table()
    estimator = make_pipeline(StandardScaler(), MLPClassifier((128,), max_iter=60, random_state=0))
    run, table = trained(estimator, x, y, recording=recording, window=window)
    limit = {"model_bytes": 9_000}
    exported = export(run, table=table, name="s", version=1, policy=policy(3), out_dir=tmp_path, target=limit)
    bundle = load_bundle(exported.path)
    assert bundle.manifest.precision == "int8"
    assert bundle.manifest.engine == "native"
    assert open_engine(bundle).nbytes == exported.sizes["model.int8.erm"] < 9_000
    assert len(bundle.members["model.erm"]) == exported.sizes["model.int8.erm"]


def test_what_is_exported_passes_the_devices_inspection(forest: Exported, mlp: Exported) -> None:
    for exported in (forest, mlp):
        inspect(load_bundle(exported.path))


def test_golden_vectors_hold_in_the_packed_bundle(forest: Exported, mlp: Exported) -> None:
    for exported in (forest, mlp):
        bundle = load_bundle(exported.path)
        engine, golden = open_engine(bundle), bundle.golden()
        assert len(golden.features) == 16
        for row, label, scores in zip(golden.features, golden.labels, golden.scores, strict=True):
            assert tuple(engine.scores(np.array(row, np.float32).data)) == scores
            assert int(np.argmax(scores)) == label


def test_the_baseline_counts_every_window_and_scores_unseen_ones(tmp_path: Path) -> None:
    x, y, recording, window = signal_table()
    run, table = trained(RandomForestClassifier(10, random_state=0), x, y, recording=recording, window=window)
    rule = policy(3, threshold=0.95)
    exported = export(run, table=table, name="s", version=1, policy=rule, out_dir=tmp_path)
    stratum = load_bundle(exported.path).baseline().strata[0]
    assert stratum.name == "all"
    assert stratum.n_windows == len(x) == sum(stratum.features[0].counts)
    assert len(run.x_test) == sum(stratum.scores[0].counts) == sum(stratum.label_counts)
    abstained = (run.estimator.predict_proba(run.x_test.astype(np.float64)).max(axis=1) < 0.95).sum()
    assert stratum.label_counts[-1] == abstained > 0
    assert stratum.features[0].lag1 > 0.2  # windows overlap and labels last


def test_votes_of_one_recording_do_not_reach_into_the_next() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]])
    rule = policy(2, k=2, n=3)
    labels, votes = decide_rows(rule, scores, ["a", "a", "a", "b"])
    assert votes.tolist() == [0, 0, 1, 1]
    assert labels.tolist() == [-1, 0, 0, -1]
    assert decide_rows(rule, scores, ["a"] * 4)[0].tolist() == [-1, 0, 0, 1]


def test_a_signature_is_over_the_manifest(tmp_path: Path) -> None:
    signed: list[bytes] = []

    def sign(data: bytes) -> Signature:
        signed.append(data)
        return Signature(key_id="ab" * 8, sig="cd" * 64)

    exported = made(RandomForestClassifier(3, random_state=0), tmp_path, n_classes=3, sign=sign)
    bundle = load_bundle(exported.path)
    assert signed == [bundle.manifest_bytes]
    assert hashlib.sha256(signed[0]).hexdigest() == exported.digest
    assert len(bundle.signatures) == 1


def test_over_the_target_is_refused_with_the_table_and_no_file(tmp_path: Path) -> None:
    """Each excess by name, value and limit, with what makes it smaller; what fits is not named."""
    limits = {"model_bytes": 1000, "state_bytes": 10, "latency_us": 10**6}
    named = r"model_bytes \d+ bytes, limit 1000"
    with pytest.raises(
        BudgetError, match=rf"for its \[target\], .*: state_bytes \d+ bytes, limit 10; {named}\n"
    ) as caught:
        made(RandomForestClassifier(5, random_state=0), tmp_path, target=limits)
    for key in budget.FIGURES:
        assert key in str(caught.value)
    assert str(caught.value).count("<- over") == 2
    assert caught.value.hint.startswith("use a shorter window")
    assert "fewer or shallower trees" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_limit_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"target\.watts"):
        made(RandomForestClassifier(2, random_state=0), tmp_path, n_classes=2, target={"watts": 3})


def test_a_write_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        made(RandomForestClassifier(2, random_state=0), tmp_path, n_classes=2)
    assert list(tmp_path.iterdir()) == []


def test_a_label_missing_from_training_is_refused_by_name(tmp_path: Path) -> None:
    x, y = digits(4)
    y[y == 2] = 3
    run, table = trained(RandomForestClassifier(2, random_state=0), x, y)
    with pytest.raises(ContractError, match="not in training: label-2"):
        export(run, table=table, name="m", version=1, policy=policy(4), out_dir=tmp_path)


def test_another_table_than_the_runs_is_refused(tmp_path: Path) -> None:
    run, _ = trained(RandomForestClassifier(2, random_state=0), *digits(2))
    x, y, recording, window = signal_table(6, 800)
    _, other = trained(RandomForestClassifier(2), x, y, recording=recording, window=window)
    with pytest.raises(ContractError, match="not the one it was trained on"):
        export(run, table=other, name="m", version=1, policy=policy(2), out_dir=tmp_path)


def test_the_measured_budget_is_declared(forest: Exported) -> None:
    declared = forest.manifest.budget
    assert declared.model_bytes == forest.sizes["model.erm"]
    assert declared.latency_us in {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000}
    assert declared.memory_bytes > declared.state_bytes + declared.model_bytes
    assert "exact" in forest.budget_table
    assert "measured on this machine" in forest.budget_table
    assert "estimated" in forest.budget_table


def test_the_next_version_is_one_more_than_the_newest(tmp_path: Path) -> None:
    assert next_version(tmp_path, "fan") == 1
    for name in (
        "fan-3-0123456789ab.elb",
        "fan-10-0123456789ab.elb",
        "fan-2-77-0123456789ab.elb",
        "other-99-0123456789ab.elb",
    ):
        (tmp_path / name).touch()
    assert next_version(tmp_path, "fan") == 11


def test_inspect_prints_manifest_evidence_and_budget(forest: Exported) -> None:
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, ["inspect", str(forest.path)])
    assert result.exit_code == 0, result.output
    for text in (
        forest.digest,
        "native, float64",
        "model.erm",
        "labels differ",
        "record_bytes_day",
        "signed by nobody",
    ):
        assert text in result.output


def test_inspect_refuses_a_changed_byte(forest: Exported, tmp_path: Path) -> None:
    data = bytearray(forest.path.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "bad.elb").write_bytes(data)
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, ["inspect", str(tmp_path / "bad.elb")])
    assert result.exit_code != 0
    assert "chunk" in str(result.exception)
