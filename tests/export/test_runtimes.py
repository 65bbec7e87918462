"""The oldest onnxruntime of the target decides opset and IR, and the target may ask for a precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cloud_trainer.export import Exported, export, graph
from cloud_trainer.export.runtimes import OLDEST, RUNTIMES, stamped, versions_of
from cloud_trainer.project import RUNTIME
from edge_runtime.engines import load_bundle, open_engine
from edge_runtime.errors import ContractError, UsageError
from tests.export.made import digits, policy, trained

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def made(estimator: Any, out: Path, **asked: str) -> Exported:
    run, table = trained(estimator, *digits(3))
    return export(run, table=table, name="m", version=1, policy=policy(3), out_dir=out, **asked)  # type: ignore[arg-type]


def network(*hidden: int) -> Any:
    return make_pipeline(StandardScaler(), MLPClassifier(hidden, max_iter=40, random_state=0))


def declared(data: bytes) -> tuple[int, int, int]:
    """(opset, opset of ai.onnx.ml or 0, IR)."""
    model = onnx.load_from_string(data)
    imports = {one.domain: one.version for one in model.opset_import}
    return imports[""], imports.get("ai.onnx.ml", 0), model.ir_version


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("estimator", "precision", "names"),
    [
        (RandomForestClassifier(5, random_state=0), "auto", ["model.onnx"]),
        (network(32), "int8", ["model.onnx", "model.int8.onnx"]),
    ],
    ids=["trees", "network"],
)
def test_no_model_declares_more_than_its_runtime_reads(
    estimator: Any, precision: str, names: list[str], runtime: str, tmp_path: Path
) -> None:
    exported = made(estimator, tmp_path, runtime=runtime, precision=precision)
    members = load_bundle(exported.path).members
    assert [name for name in members if name.endswith(".onnx")] == names
    for name in names:
        assert all(have <= most for have, most in zip(declared(members[name]), versions_of(runtime), strict=True))
    assert exported.why["onnx"] == f"model.onnx: for onnxruntime {runtime} and later"


def test_an_old_runtime_gets_an_older_model_with_the_same_nodes(tmp_path: Path) -> None:
    models = [
        load_bundle(made(network(8), tmp_path / runtime, runtime=runtime).path).members["model.onnx"]
        for runtime in ("1.16", "1.22")
    ]
    assert [declared(data) for data in models] == [(19, 0, 9), (21, 0, 10)]
    old, new = (onnx.load_from_string(data).graph for data in models)
    assert old == new


def test_a_version_between_two_rows_counts_as_the_older() -> None:
    assert versions_of("1.21.1") == RUNTIMES["1.18"] == versions_of(OLDEST)
    assert versions_of("1.40") == RUNTIMES["1.22"]
    assert OLDEST == RUNTIME


@pytest.mark.parametrize(("runtime", "says"), [("1.15", "'1.15' is older than 1.16"), ("new", "'new' is no version")])
def test_a_runtime_that_no_model_is_made_for_is_refused(runtime: str, says: str) -> None:
    with pytest.raises(UsageError, match=f"target.onnxruntime: {says}"):
        versions_of(runtime)


def test_a_node_that_needs_more_is_named() -> None:
    nodes = [graph.node("Gelu", ["features"], ["scores"])]  # since opset 20
    model = graph.model_of(nodes, {}, n_features=2, n_scores=2, score_type=graph.FLOAT)
    assert declared(stamped(model, "1.17").SerializeToString())[0] == 20
    with pytest.raises(
        ContractError, match=r"operator Gelu needs a newer opset of ai\.onnx than 19, .*runtime 1\.16 reads"
    ):
        stamped(model, "1.16")


# ---- precision


def test_what_the_target_asks_for_is_kept_and_both_are_measured(tmp_path: Path) -> None:
    for asked in ("float32", "int8"):
        exported = made(network(32), tmp_path / asked, precision=asked)
        assert load_bundle(exported.path).manifest.precision == asked
        assert exported.why["precision"].startswith(f"{asked}: the target asks for it (native: ")
        for fact in (" bytes against ", " µs against ", "accuracy 0.9", " against 0.9"):
            assert fact in exported.why["precision"]
        assert {"native", "native int8", "onnx", "onnx int8"} <= {row["form"] for row in exported.evidence}


@pytest.mark.parametrize("n_values", [1, 2])
def test_a_network_of_values_has_int8_too(n_values: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cloud_trainer.export import parity

    x = np.random.default_rng(0).uniform(-1, 1, (1200, 8)).astype(np.float32)
    y = np.stack([x[:, 0] + np.tanh(2 * x[:, 1]), x[:, 2] * 3], axis=1).astype(np.float64)
    net = MLPRegressor(hidden_layer_sizes=(32,), max_iter=300, random_state=0)
    run, table = trained(make_pipeline(StandardScaler(), net), x, y if n_values == 2 else y[:, 0])

    def asked(precision: str) -> Exported:
        rule = policy(n_values)
        return export(run, table=table, name="m", version=1, policy=rule, out_dir=tmp_path, precision=precision)

    exported = asked("int8")
    assert "r2 0.9" in exported.why["precision"]
    rows = {row["form"]: row for row in exported.evidence if "int8" in row["form"]}
    assert set(rows) == {"onnx int8", "native int8"}
    assert rows["onnx int8"]["max_score_diff"] == rows["native int8"]["max_score_diff"] > 0
    told = np.array(open_engine(load_bundle(exported.path)).scores(run.x_test[0].data))
    assert np.abs(told - run.estimator.predict(run.x_test[:1].astype(np.float64)).ravel()).max() < 0.2
    for limit, says in (
        ("INT8_ACCURACY", "r2 falls by .* points"),
        ("INT8_LABELS", "of the variance of the trainer's"),
    ):
        monkeypatch.setattr(parity, limit, -1.0)
        with pytest.raises(ContractError, match=rf"target\.precision: int8: .*{says}"):
            asked("int8")


def test_int8_of_what_has_none_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        ContractError, match=r"target\.precision: int8 of RandomForestClassifier: there is no int8 form"
    ):
        made(RandomForestClassifier(3, random_state=0), tmp_path, precision="int8")
    tanh = make_pipeline(StandardScaler(), MLPClassifier((4,), activation="tanh", max_iter=5, random_state=0))
    with pytest.raises(ContractError, match="int8 of MLPClassifier: int8: hidden activation 'tanh': want 'relu'"):
        made(tanh, tmp_path, precision="int8")
    with pytest.raises(UsageError, match=r"target\.precision: want one of auto, float32, int8, got 'int4'"):
        made(network(4), tmp_path, precision="int4")


def test_int8_that_loses_too_many_labels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cloud_trainer.export import parity

    monkeypatch.setattr(parity, "INT8_LABELS", -1.0)
    with pytest.raises(ContractError, match=r"target\.precision: int8: .* of labels differ, at most"):
        made(network(16), tmp_path, precision="int8")
    assert list(tmp_path.iterdir()) == []
    assert load_bundle(made(network(16), tmp_path).path).manifest.precision == "float32"
