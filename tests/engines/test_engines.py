from __future__ import annotations

import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cloud_trainer.export import export, models
from cloud_trainer.export.erm import erm_bytes
from cloud_trainer.export.native_forms import model_of
from cloud_trainer.training import Run
from edge_runtime import native
from edge_runtime.contract.bundle import Bundle
from edge_runtime.engines import OrtEngine, advance, decide_all, load_bundle, open_engine, program_of, stream_for
from edge_runtime.errors import ContractError, TrustError
from tests.export.made import policy, signal, signal_table, trained

ESTIMATORS: dict[str, Any] = {
    "native": RandomForestClassifier(15, random_state=0),
    "boosting": HistGradientBoostingClassifier(max_iter=5),
    "logistic": make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Run, Path]]:
    out = {}
    x, y, recording, window = signal_table()
    for name, estimator in ESTIMATORS.items():
        run, table = trained(estimator, x, y, recording=recording, window=window)
        rule = policy(3, threshold=0.5, k=2, n=3)
        folder = tmp_path_factory.mktemp(name)
        with pytest.MonkeyPatch.context() as patch:
            if name == "logistic":  # one that onnxruntime runs, as if the core had no form of it
                patch.setattr(models, "native_form", lambda _: None)
            out[name] = (run, export(run, table=table, name=name, version=1, policy=rule, out_dir=folder).path)
    return out


@pytest.fixture(params=ESTIMATORS)
def case(request: pytest.FixtureRequest, bundles: dict[str, tuple[Run, Path]]) -> tuple[Run, Bundle]:
    run, path = bundles[request.param]
    return run, load_bundle(path)


def test_every_decision_is_the_trainers_vote(case: tuple[Run, Bundle]) -> None:
    run, bundle = case
    frames, _ = signal(77, 3000)
    flat = frames.reshape(-1).data
    x = np.frombuffer(native.batch(run.program, flat), np.float32).reshape(-1, 24)
    scores = np.concatenate([run.estimator.predict_proba(row[None]) for row in x.astype(np.float64)])
    votes = np.where(scores.max(axis=1) >= 0.5, scores.argmax(axis=1), -1)
    decisions = decide_all(bundle, flat)
    assert [d.window for d in decisions] == list(range(len(x)))
    assert [d.vote for d in decisions] == votes.tolist()


def test_any_cutting_of_the_frames_gives_the_same_decisions(case: tuple[Run, Bundle]) -> None:
    _, bundle = case
    frames, _ = signal(5, 1500)
    flat = frames.reshape(-1).data
    engine = open_engine(bundle)
    stream = stream_for(bundle, engine)
    rng, at, cut = np.random.default_rng(0), 0, []
    while at < len(frames):
        taken, decision = advance(stream, engine, flat, at, min(int(rng.integers(1, 60)), len(frames) - at))
        at += taken
        cut += [decision] if decision else []
    assert cut == decide_all(bundle, flat)


def test_two_dimensional_frames_are_taken_row_by_row(case: tuple[Run, Bundle]) -> None:
    _, bundle = case
    frames, _ = signal(5, 200)
    assert decide_all(bundle, frames.data) == decide_all(bundle, frames.reshape(-1).data)


def test_a_frame_that_is_nan_makes_the_vote_abstain(case: tuple[Run, Bundle]) -> None:
    _, bundle = case
    frames, _ = signal(5, 64)
    frames[3, 1] = np.nan
    first = decide_all(bundle, frames.reshape(-1).data)[0]
    assert (first.vote, first.flags) == (-1, 1)


def test_an_engine_says_what_it_runs(case: tuple[Run, Bundle]) -> None:
    _, bundle = case
    engine = open_engine(bundle)
    assert engine.name == bundle.manifest.engine
    assert engine.nbytes == len(bundle.members["model.erm" if engine.name == "native" else "model.onnx"])
    assert engine.why
    assert (engine.model is None) == (engine.name == "onnxruntime")
    assert program_of(bundle).digest == bundle.manifest.program_digest


@pytest.mark.parametrize(
    ("machine", "libc", "hint"),
    [
        ("x86_64", "glibc", "pip install edgeloop[onnx], or export a model that has a native form"),
        ("aarch64", "glibc", "pip install edgeloop[onnx], or export a model that has a native form"),
        ("x86_64", "", "there is none for x86_64 with musl: export a model that has a native form"),
        ("armv7l", "glibc", "there is none for armv7l: export a model that has a native form"),
        ("riscv64", "glibc", "there is none for riscv64: export a model that has a native form"),
    ],
)
def test_a_missing_onnxruntime_is_named_with_the_way_out(
    bundles: dict[str, tuple[Run, Path]], monkeypatch: pytest.MonkeyPatch, machine: str, libc: str, hint: str
) -> None:
    """Neither its library nor its package is there: a native bundle runs all the same."""
    bundle, native_bundle = load_bundle(bundles["logistic"][1]), load_bundle(bundles["native"][1])
    frames, _ = signal(5, 600)
    before = decide_all(native_bundle, frames.data)
    monkeypatch.setattr(native, "ort_library", lambda: None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: (libc, ""))
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(ContractError, match="this bundle needs onnxruntime, which is not installed") as caught:
        open_engine(bundle)
    assert caught.value.hint.startswith(hint)
    engine = open_engine(native_bundle)
    assert (engine.name, engine.why.rsplit(maxsplit=3)[1:]) == ("native", ["in", "the", "core"])
    assert decide_all(native_bundle, frames.data) == before


def test_a_native_bundle_decides_without_numpy(bundles: dict[str, tuple[Run, Path]]) -> None:
    code = (
        "import sys; from array import array\n"
        "from edge_runtime.engines import decide_all, load_bundle\n"
        f"n = len(decide_all(load_bundle({str(bundles['native'][1])!r}), memoryview(array('f', range(3 * 64)))))\n"
        "heavy = {'numpy', 'onnxruntime', 'sklearn', 'cloud_trainer', 'paho', 'cryptography'} & set(sys.modules)\n"
        "assert n == 3, n; assert not heavy, heavy"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, timeout=60)


def test_malformed_models_are_refused(bundles: dict[str, tuple[Run, Path]]) -> None:
    for name, member in (("native", "model.erm"), ("logistic", "model.onnx")):
        bundle = load_bundle(bundles[name][1])
        broken = replace(bundle, members=bundle.members | {member: bundle.members[member][:-9]})
        with pytest.raises(ContractError):
            open_engine(broken)
        without = replace(bundle, members={k: v for k, v in bundle.members.items() if k != member})
        with pytest.raises(ContractError, match=r"member model\.(erm|erf|onnx) is missing"):
            open_engine(without)


def test_a_model_of_another_shape_is_refused(bundles: dict[str, tuple[Run, Path]]) -> None:
    data = load_bundle(bundles["logistic"][1]).members["model.onnx"]
    with pytest.raises(ContractError, match=r"input 'features': want \[N, 7\]"):
        OrtEngine(data, n_features=7, n_scores=3)
    with pytest.raises(ContractError, match=r"output 'scores': want \[N, 4\]"):
        OrtEngine(data, n_features=24, n_scores=4)


def test_a_forest_of_another_shape_is_refused(bundles: dict[str, tuple[Run, Path]]) -> None:
    bundle = load_bundle(bundles["native"][1])
    x, y, _, _ = signal_table(2, 600)
    made = model_of(RandomForestClassifier(2, random_state=0).fit(x[:, :5], y))
    other = replace(bundle, members=bundle.members | {"model.erm": erm_bytes(made)})
    with pytest.raises(ContractError, match=r"model\.erm: 5 features and \d outputs, the bundle declares 24 and 3"):
        open_engine(other)


def test_the_optimiser_is_off_and_one_thread_runs(bundles: dict[str, tuple[Run, Path]]) -> None:
    engine = open_engine(load_bundle(bundles["logistic"][1]))
    assert isinstance(engine, OrtEngine)
    options = engine._by_package()._session.get_session_options()
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


def test_without_the_library_of_the_wheel_the_package_gives_the_same_scores(
    bundles: dict[str, tuple[Run, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = load_bundle(bundles["logistic"][1])
    frames, _ = signal(5, 600)
    by_api = decide_all(bundle, frames.data)
    assert open_engine(bundle).why.endswith("by its C API")
    monkeypatch.setattr(native, "ort_library", lambda: None)
    assert decide_all(bundle, frames.data) == by_api
    assert open_engine(bundle).why.endswith("by its Python package")


def test_a_bundle_for_onnxruntime_decides_without_numpy_in_one_thread(bundles: dict[str, tuple[Run, Path]]) -> None:
    """Three are there: ours, the watchdog, and one that onnxruntime keeps asleep."""
    code = (
        "import os, sys; from array import array\n"
        "from edge_runtime.engines import decide_all, load_bundle\n"
        f"n = len(decide_all(load_bundle({str(bundles['logistic'][1])!r}), memoryview(array('f', range(3 * 64)))))\n"
        "heavy = {'numpy', 'onnxruntime', 'sklearn', 'cloud_trainer', 'paho', 'cryptography'} & set(sys.modules)\n"
        "threads = len(os.listdir('/proc/self/task'))\n"
        "assert n == 3, n; assert not heavy, heavy; assert threads <= 3, threads"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, timeout=60)


def test_a_stream_counts_into_the_bundles_bins(case: tuple[Run, Bundle]) -> None:
    _, bundle = case
    engine = open_engine(bundle)
    stream = stream_for(bundle, engine)
    frames, _ = signal(5, 64)
    at = 0
    while at < 64:
        at += advance(stream, engine, frames.reshape(-1).data, at, 64 - at)[0]
    rows, labels = stream.summary()
    stratum = bundle.baseline().strata[0]
    assert [len(row.counts) for row in rows] == [len(b.counts) for b in (*stratum.features, *stratum.scores)]
    assert sum(labels) == rows[0].n == 3


def test_a_file_that_is_no_bundle_is_refused(bundles: dict[str, tuple[Run, Path]], tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="No such file"):
        load_bundle(tmp_path / "none.elb")
    data = bundles["native"][1].read_bytes()
    with pytest.raises(ContractError, match="truncated"):
        load_bundle(data[:-1])
    changed = bytearray(data)
    changed[len(data) // 2] ^= 4
    with pytest.raises(TrustError):
        load_bundle(bytes(changed))
