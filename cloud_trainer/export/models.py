"""Every form of one run's model, and the proof that it decides as the trainer. One rule: no form without its proof."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from cloud_trainer.export import graph, parity
from cloud_trainer.export.forest import forest_bytes
from cloud_trainer.export.onnx_float import float_model, parts_of
from cloud_trainer.export.onnx_int8 import best_int8
from cloud_trainer.export.parity import Form
from cloud_trainer.export.rows import F32, Rows, Scores, parity_rows, search_of, spread
from cloud_trainer.export.trainer import trainer_scores
from cloud_trainer.export.trees import ensemble
from edge_runtime import native
from edge_runtime.engines import OrtEngine
from edge_runtime.errors import ContractError

if TYPE_CHECKING:
    from cloud_trainer.training import Run

F64 = npt.NDArray[np.float64]
Progress = Callable[[str, int, int], None]
CALIBRATION_ROWS: Final = 2000
SLOWER: Final = 1.1  # int8 within this factor of float32 counts as as fast
TIMED: Final = 400
PRECISION: Final = {
    "float64": "float64: added in double, as the trainer adds",
    "float32": "float32: there is no int8 form of this estimator",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """What goes into the bundle.

    Attributes:
        engine: "native" or "onnxruntime".
        precision: Of the form that the engine runs.
        why: One sentence for each choice.
        members: Model files by member name.
        evidence: The parity table.
        scores: Scores [n, C] of rows by the form that the engine runs.
        sizes: Bytes of every form that was made, the losing ones too.
        latency_us: Median of one row without features, of every form that was timed [µs].
    """

    engine: str
    precision: str
    why: dict[str, str]
    members: dict[str, bytes]
    evidence: list[dict[str, Any]]
    scores: Callable[[F32], F64]
    sizes: dict[str, int]
    latency_us: dict[str, float]


def make_models(run: Run, *, model_limit: int | None = None, progress: Progress | None = None) -> Models:
    """Export, prove, choose.

    Args:
        run: Fitted, with its rows.
        model_limit: Bytes the target has for the model, if it says.
        progress: Told (what, done, total).

    Raises:
        ContractError: The estimator has no export, or an export decides otherwise than the trainer.
    """
    tell = progress or (lambda *_: None)
    _check_run(run)
    tell("exporting model.onnx", 0, 4)
    made, forms, ort = _forms(run)
    tell("looking for rows where rounding shows", 1, 4)
    trees = ensemble(*reversed(parts_of(run.estimator)))
    rows = parity_rows(run.x_test, trees=trees, search=search_of(run.estimator))
    tell(f"asking the trainer about {sum(len(r.x) for r in rows)} rows, one at a time", 2, 4)
    kinds = [(kind, trainer_scores(run.estimator, kind.x)) for kind in rows]
    tell("checking parity", 3, 4)
    evidence = parity.check(forms, kinds, labels=run.labels)
    _check_evidence(evidence, forms, rows)
    tell("checking parity", 4, 4)
    return _with_int8(run, replace(made, evidence=evidence), ort, kinds[0][1], model_limit=model_limit)


def _forms(run: Run) -> tuple[Models, list[Form], OrtEngine]:
    """What is to be proven: the models without their evidence, every way to run them, and the session of model.onnx."""
    n_features, n_labels = run.x_train.shape[1], len(run.labels)
    scaler, model = parts_of(run.estimator)
    trees = ensemble(model, scaler)
    proto, precision = float_model(run.estimator, n_features=n_features)
    members = {"model.onnx": graph.model_bytes(proto)}
    ort = OrtEngine(members["model.onnx"], n_features=n_features, n_scores=n_labels)
    is_exact, engine = trees is not None, "onnxruntime"
    scores: Scores = ort.scores_batch
    forms = [
        Form(name="onnx", batch="1", is_exact=is_exact, scores=_one_by_one(ort)),
        Form(name="onnx", batch="all", is_exact=is_exact, scores=scores),
    ]
    if trees is not None and trees.link == "mean":
        members["model.erf"] = forest_bytes(trees)
        scores, engine = _native(members["model.erf"]), "native"
        forms.append(Form(name="native", batch="1", is_exact=True, scores=scores))
    made = Models(
        engine=engine,
        precision=precision,
        why={"engine": _why(engine, is_exact), "precision": PRECISION[precision]},
        members=members,
        evidence=[],
        scores=scores,
        sizes={name: len(member) for name, member in members.items()},
        latency_us={},
    )
    return made, forms, ort


def _check_run(run: Run) -> None:
    classes = np.asarray(getattr(run.estimator, "classes_", ()))
    if classes.tolist() != list(range(len(run.labels))):
        missing = [label for i, label in enumerate(run.labels) if i not in classes]
        raise ContractError(
            f"run {run.run_id}: the estimator has classes {classes.tolist()}, labels are 0..{len(run.labels) - 1}"
            + (f"; not in training: {', '.join(missing)}" if missing else ""),
            hint="record the missing label in more groups, or put it into labels.ignore",
        )
    if not hasattr(run.estimator, "predict_proba"):
        raise ContractError(f"{type(run.estimator).__name__} has no predict_proba: a bundle needs scores")
    if not len(run.x_test):
        raise ContractError(
            f"run {run.run_id}: no test rows: parity cannot be shown", hint="enlarge split.test_fraction"
        )


def _check_evidence(evidence: list[dict[str, Any]], forms: list[Form], rows: list[Rows]) -> None:
    """What is packed is what was proven: every form, on every kind of rows."""
    proven = {(row["form"], row["batch"], row["kind"]) for row in evidence}
    for form in forms:
        for kind in rows:
            if (form.name, form.batch, kind.kind) not in proven:
                raise ContractError(f"parity: no evidence for {form.name}, batch {form.batch}, {kind.kind} rows")


def _why(engine: str, is_tree: bool) -> str:
    if engine == "native":
        return "native: the C core runs a mean of trees, exactly and without onnxruntime"
    return "onnxruntime: the C core has no form of " + ("boosted trees" if is_tree else "this estimator")


def _one_by_one(engine: OrtEngine) -> Callable[[F32], F64]:
    return lambda x: np.array([engine.scores(row.data) for row in np.ascontiguousarray(x)], np.float64)


def _native(data: bytes) -> Callable[[F32], F64]:
    model = native.Model(data)

    def scores(x: F32) -> F64:
        flat = np.ascontiguousarray(x).reshape(-1).data
        return np.frombuffer(model.scores_batch(flat), np.float64).reshape(len(x), -1)

    return scores


def _with_int8(run: Run, made: Models, ort: OrtEngine, want: F64, *, model_limit: int | None) -> Models:
    """The same, with int8 in place of float32 where it wins."""
    calibration = spread(run.x_train, CALIBRATION_ROWS)
    shape = {"n_features": run.x_train.shape[1], "n_scores": len(run.labels)}
    try:
        data = best_int8(
            run.estimator, calibration, scores_of=lambda d: OrtEngine(d, **shape).scores_batch(calibration)
        )
    except ContractError as refused:
        return _because(made, f"float32: {refused}")
    if data is None:
        return made
    small = OrtEngine(data, **shape)
    rows = spread(run.x_test, len(want))
    evidence, broken = parity.check_int8(
        _one_by_one(small)(rows), want, spread(run.y_test, len(want)), float_scores=ort.scores_batch(rows)
    )
    latency = _timed({"model.onnx": ort, "model.int8.onnx": small}, rows)
    sizes = {"model.int8.onnx": len(data)}
    facts = (
        f"{len(data)} bytes against {made.sizes['model.onnx']}, "
        f"{latency['model.int8.onnx']:.1f} µs against {latency['model.onnx']:.1f}"
    )
    over = model_limit is not None and made.sizes["model.onnx"] > model_limit >= len(data)
    slow = latency["model.int8.onnx"] > SLOWER * latency["model.onnx"]
    made = replace(made, evidence=[*made.evidence, evidence], sizes=made.sizes | sizes, latency_us=latency)
    if broken or len(data) >= made.sizes["model.onnx"] or (slow and not over):
        why = broken or ("slower" if slow else "no smaller")
        return _because(made, f"float32: int8 does not win: {why} ({facts})")
    won = replace(made, precision="int8", members=made.members | {"model.int8.onnx": data}, scores=small.scores_batch)
    return _because(won, f"int8: smaller and {'alone within the budget' if slow else 'as fast within 10 %'} ({facts})")


def _because(made: Models, why: str) -> Models:
    return replace(made, why=made.why | {"precision": why})


def _timed(engines: dict[str, OrtEngine], rows: F32) -> dict[str, float]:
    """Median of one row [µs], the engines taking turns."""
    times: dict[str, list[int]] = {name: [] for name in engines}
    for i in range(TIMED):
        row = rows[i % len(rows)].data
        for name, engine in engines.items():
            before = time.perf_counter_ns()
            engine.scores(row)
            times[name].append(time.perf_counter_ns() - before)
    return {name: sorted(values)[len(values) // 2] / 1000 for name, values in times.items()}
