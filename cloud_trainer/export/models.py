"""Every form of one run's model, and the proof that it decides as the trainer. One rule: no form without its proof."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from cloud_trainer.export import graph, parity, runtimes
from cloud_trainer.export.erm import erm_bytes
from cloud_trainer.export.layout import laid_out
from cloud_trainer.export.native_forms import check_exportable, native_form
from cloud_trainer.export.onnx_float import float_model
from cloud_trainer.export.onnx_int8 import best_int8, int8_steps
from cloud_trainer.export.parity import Form, Rule
from cloud_trainer.export.rows import F32, MAX_TEST, Rows, Scores, parity_rows, spread
from cloud_trainer.export.steps import Model
from cloud_trainer.export.trainer import is_float32, search_of, trainer_scores
from cloud_trainer.task import task_of
from edge_runtime import native
from edge_runtime.engines import OrtEngine
from edge_runtime.errors import ContractError, UsageError

if TYPE_CHECKING:
    from cloud_trainer.training import Run

F64 = npt.NDArray[np.float64]
Progress = Callable[[str, int, int], None]
CALIBRATION_ROWS: Final = 2000
SLOWER: Final = 1.1  # int8 within this factor of float32 counts as as fast
TIMED: Final = 400
ASKED: Final = ("auto", "float32", "int8")
"""What a target may ask; "float32" is any form that is not int8."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the target asks of a model.

    Attributes:
        model_limit: Bytes that it has for the model, if it says.
        memory_limit: Bytes that it has for all, if it says.
        precision: Of `ASKED`: "auto" keeps what wins.
        runtime: The oldest onnxruntime that it has.
    """

    model_limit: int | None = None
    memory_limit: int | None = None
    precision: str = "auto"
    runtime: str = runtimes.OLDEST


def make_models(run: Run, wanted: Wanted | None = None, *, progress: Progress | None = None) -> Models:
    """Export, prove, choose.

    Args:
        run: Fitted, with its rows.
        wanted: By the target.
        progress: Told (what, done, total).

    Raises:
        UsageError: The target names no precision, or no version of onnxruntime.
        ContractError: The estimator has no export, or not for this target, or decides otherwise than the trainer.
    """
    wanted = wanted or Wanted()
    if wanted.precision not in ASKED:
        raise UsageError(f"target.precision: want one of {', '.join(ASKED)}, got {wanted.precision!r}")
    tell = progress or (lambda *_: None)
    _check_run(run)
    tell("exporting model.onnx", 0, 4)
    steps = _native_form(run)
    made, forms, ort = _forms(run, steps, wanted)
    tell("looking for rows where rounding shows", 1, 4)
    search = search_of(run.estimator)
    rule = _rule(run, search)
    rows = parity_rows(run.x_test, model=steps, search=search, is_values=rule.is_values, unit=rule.unit)
    tell(f"asking the trainer about {sum(len(r.x) for r in rows)} rows, one at a time", 2, 4)
    kinds = [(kind, trainer_scores(run.estimator, kind.x)) for kind in rows]
    tell("checking parity", 3, 4)
    evidence = parity.check(forms, kinds, rule)
    _check_evidence(evidence, forms, rows)
    tell("checking parity", 4, 4)
    made = replace(made, evidence=evidence)
    found = _int8(run, made, ort, kinds[0][1], wanted)
    return found if isinstance(found, Models) else _chosen(found, wanted)


def _rule(run: Run, search: Scores) -> Rule:
    """Probabilities range over 1; decision values, distances and values over what the test rows give."""
    unit = (
        1.0 if hasattr(run.estimator, "predict_proba") else float(np.ptp(search(spread(run.x_test, MAX_TEST)))) or 1.0
    )
    sums = parity.SUMS32 if is_float32(run.estimator) else parity.SUMS
    return Rule(labels=run.labels, is_values=task_of(run.estimator) == "values", unit=unit, sums=sums)


def _native_form(run: Run) -> Model | None:
    """Steps; they take a missing value only if training had some.

    scikit-learn's trees answer one that they never saw, but on a device it is a fault, and the vote abstains.
    """
    steps = native_form(run.estimator)
    if steps is None:
        if not hasattr(run.estimator, "predict_proba"):
            check_exportable(run.estimator)
        return None
    if steps.n_outputs != len(run.labels):
        raise ContractError(f"run {run.run_id}: the model gives {steps.n_outputs} scores for {len(run.labels)} labels")
    return replace(steps, takes_nan=steps.takes_nan and bool(np.isnan(run.x_train).any()))


def _forms(run: Run, steps: Model | None, wanted: Wanted) -> tuple[Models, list[Form], OrtEngine]:
    """What is to be proven: the models without their evidence, every way to run them, and the session of model.onnx."""
    n_features, n_labels = run.x_train.shape[1], len(run.labels)
    proto, precision = float_model(run.estimator, n_features=n_features)
    members = {"model.onnx": graph.model_bytes(runtimes.stamped(proto, wanted.runtime))}
    ort = OrtEngine(members["model.onnx"], n_features=n_features, n_scores=n_labels)
    is_exact, engine = steps is not None and steps.is_trees, "onnxruntime"
    scores: Scores = ort.scores_batch
    layout = ""
    forms = [
        Form(name="onnx", batch="1", is_exact=is_exact, scores=_one_by_one(ort)),
        Form(name="onnx", batch="all", is_exact=is_exact, scores=scores),
    ]
    if steps is not None:
        members["model.erm"], layout = laid_out(steps, model_bytes=wanted.model_limit, memory_bytes=wanted.memory_limit)
        scores, engine = _native(members["model.erm"]), "native"
        precision = "float32" if steps.is_float32 else "float64"
        forms.append(Form(name="native", batch="1", is_exact=is_exact, scores=scores))
    made = Models(
        engine=engine,
        precision=precision,
        why={
            "engine": _why(steps, members),
            "precision": PRECISION[precision],
            "onnx": f"model.onnx: for onnxruntime {wanted.runtime} and later",
        }
        | ({"layout": layout} if layout else {}),
        members=members,
        evidence=[],
        scores=scores,
        sizes={name: len(member) for name, member in members.items()},
        latency_us={},
    )
    return made, forms, ort


def _check_run(run: Run) -> None:
    classes = np.asarray(getattr(run.estimator, "classes_", ()))
    if task_of(run.estimator) == "labels" and classes.tolist() != list(range(len(run.labels))):
        missing = [label for i, label in enumerate(run.labels) if i not in classes]
        raise ContractError(
            f"run {run.run_id}: the estimator has classes {classes.tolist()}, labels are 0..{len(run.labels) - 1}"
            + (f"; not in training: {', '.join(missing)}" if missing else ""),
            hint="record the missing label in more groups, or put it into labels.ignore",
        )
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


def _why(steps: Model | None, members: dict[str, bytes]) -> str:
    if steps is None:
        return "onnxruntime: the C core has no form of this estimator"
    sizes = f"{len(members['model.erm'])} bytes against {len(members['model.onnx'])} of model.onnx"
    how = "as the trainer, bit for bit up to exp" if steps.is_trees else "with the same bits on every target"
    return f"native: the C core runs it {how}, without onnxruntime ({sizes})"


def _one_by_one(engine: OrtEngine) -> Callable[[F32], F64]:
    return lambda x: np.array([engine.scores(row.data) for row in np.ascontiguousarray(x)], np.float64)


def _native(data: bytes) -> Callable[[F32], F64]:
    model = native.Model(data)

    def scores(x: F32) -> F64:
        flat = np.ascontiguousarray(x).reshape(-1).data
        return np.frombuffer(model.scores_batch(flat), np.float64).reshape(len(x), -1)

    return scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """Float and int8 forms, measured beside each other on the engine that was chosen.

    Attributes:
        made: The float form, with the evidence, sizes and times of both.
        small: The same with int8 in its place.
        now, then: The members that the engine runs, of float and of int8.
        broken: Why int8 breaks its budget, or "".
        facts: Bytes, times and metric of both.
    """

    made: Models
    small: Models
    now: str
    then: str
    broken: str
    facts: str


def _int8(run: Run, made: Models, ort: OrtEngine, want: F64, wanted: Wanted) -> Both | Models:
    """Both forms, or the float one alone where there is no int8.

    Raises:
        ContractError: The target asks for int8, and there is none.
    """
    calibration = spread(run.x_train, CALIBRATION_ROWS)
    shape = {"n_features": run.x_train.shape[1], "n_scores": len(run.labels)}
    try:
        data = best_int8(
            run.estimator,
            calibration,
            scores_of=lambda d: OrtEngine(d, **shape).scores_batch(calibration),
            runtime=wanted.runtime,
        )
        why_not = "there is no int8 form of this estimator"
    except ContractError as refused:
        data, why_not = None, str(refused)
    if data is None:
        if wanted.precision == "int8":
            name = type(getattr(run.estimator, "steps", [("", run.estimator)])[-1][1]).__name__
            raise ContractError(
                f"target.precision: int8 of {name}: {why_not}", hint='say "auto", or train an mlp with relu'
            )
        return made if made.precision == "float64" else _because(made, f"float32: {why_not.removeprefix('int8: ')}")
    small = OrtEngine(data, **shape)
    members = {"model.int8.onnx": data}
    forms: dict[str, Scores] = {"onnx int8": _one_by_one(small)}
    engines: dict[str, Callable[[Any], object]] = {"model.onnx": ort.scores, "model.int8.onnx": small.scores}
    now, then = "model.onnx", "model.int8.onnx"
    if made.engine == "native":
        now, then = "model.erm", "model.int8.erm"
        members[then] = erm_bytes(int8_steps(data))
        forms["native int8"] = _native(members[then])
        engines |= {now: native.Model(made.members[now]).scores, then: native.Model(members[then]).scores}
    rows = spread(run.x_test, len(want))
    y, float_scores = spread(run.y_test, len(want)), made.scores(rows)
    is_values = task_of(run.estimator) == "values"
    checked = [
        parity.check_int8(scores(rows), want, y, name=name, float_scores=float_scores, is_values=is_values)
        for name, scores in forms.items()
    ]
    latency, good = _timed(engines, rows), parity.metric(float_scores, y, is_values=is_values)
    word = "r2" if is_values else "accuracy"
    made = replace(
        made,
        evidence=[*made.evidence, *(row for row, _ in checked)],
        sizes=made.sizes | {name: len(member) for name, member in members.items()},
        latency_us=latency,
    )
    shipped = {"model.int8.onnx": data} | ({"model.erm": members[then]} if made.engine == "native" else {})
    return Both(
        made=made,
        small=replace(made, precision="int8", members=made.members | shipped, scores=list(forms.values())[-1]),
        now=now,
        then=then,
        broken=next((why for _, why in checked if why), ""),
        facts=f"{made.engine}: {len(members[then])} bytes against {made.sizes[now]}, {latency[then]:.1f} µs against "
        f"{latency[now]:.1f}, {word} {good - checked[-1][0][f'{word}_lost']:.4f} against {good:.4f}",
    )


def _chosen(both: Both, wanted: Wanted) -> Models:
    """The form that wins for the target, or that it asks for.

    Raises:
        ContractError: It asks for int8, which breaks its budget of labels.
    """
    made, now, then, facts = both.made, both.now, both.then, both.facts
    is_smaller = made.sizes[then] < made.sizes[now]
    limit = wanted.model_limit
    over = limit is not None and made.sizes[now] > limit >= made.sizes[then]
    slow = made.latency_us[then] > SLOWER * made.latency_us[now]
    if wanted.precision == "int8":
        if both.broken:
            raise ContractError(f"target.precision: int8: {both.broken} ({facts})", hint=parity.HINT)
        return _because(both.small, f"int8: the target asks for it ({facts})")
    if wanted.precision == "float32":
        return _because(made, f"float32: the target asks for it ({facts})")
    if both.broken or not is_smaller or (slow and not over):
        why = both.broken or ("slower" if is_smaller else "no smaller")
        return _because(made, f"float32: int8 does not win: {why} ({facts})")
    return _because(
        both.small, f"int8: smaller and {'alone within the budget' if slow else 'as fast within 10 %'} ({facts})"
    )


def _because(made: Models, why: str) -> Models:
    return replace(made, why=made.why | {"precision": why})


def _timed(engines: dict[str, Callable[[Any], object]], rows: F32) -> dict[str, float]:
    """Median of one row [µs], the engines taking turns."""
    times: dict[str, list[int]] = {name: [] for name in engines}
    for i in range(TIMED):
        row = rows[i % len(rows)].data
        for name, scores in engines.items():
            before = time.perf_counter_ns()
            scores(row)
            times[name].append(time.perf_counter_ns() - before)
    return {name: sorted(values)[len(values) // 2] / 1000 for name, values in times.items()}
