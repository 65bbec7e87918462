"""One run, one bundle file. One rule: the file appears whole, proven and within the target, or not at all."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from cloud_trainer.export import budget, parity
from cloud_trainer.export.baseline import baseline_of
from cloud_trainer.export.decide import decide_rows
from cloud_trainer.export.models import Models, Progress, Wanted, make_models
from cloud_trainer.export.rows import spread
from cloud_trainer.export.runtimes import OLDEST
from cloud_trainer.export.strata import Rows, strata_of
from cloud_trainer.policies import PolicySpec
from cloud_trainer.seasons import SeasonSpec
from cloud_trainer.task import task_of
from edge_runtime.contract.baseline import Baseline
from edge_runtime.contract.bundle import Bundle, members_of, pack
from edge_runtime.contract.golden import Golden
from edge_runtime.contract.manifest import Budget, Lineage, Manifest, Policy
from edge_runtime.contract.order import Signature
from edge_runtime.contract.strata import MEMBER as STRATA
from edge_runtime.contract.strata import Strata
from edge_runtime.engines import load_bundle, open_engine
from edge_runtime.errors import ContractError

if TYPE_CHECKING:
    from cloud_trainer.features import FeatureTable
    from cloud_trainer.training import Run

Sign = Callable[[bytes], Signature]
GOLDEN_ROWS: Final = 16
ENOUGH: Final = 100  # test rows from which on they alone make the bins of the scores
AUTO: Final = SeasonSpec()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A bundle file and what is known of it.

    Attributes:
        path: `<name>-<version>-<first 12 of the digest>.elb`.
        digest: Of the bundle.
        manifest: As packed.
        evidence: The parity table; `evidence_table` as text.
        sizes: Bytes of every form that was made, of the members and of the file ("bundle").
        latency_us: Median of one row, of the forms that were compared [µs].
        why: Reasons for engine and precision.
        budget_table: Needs beside limits, as text.
    """

    path: Path
    digest: str
    manifest: Manifest
    evidence: tuple[dict[str, Any], ...]
    evidence_table: str
    sizes: dict[str, int]
    latency_us: dict[str, float]
    why: dict[str, str]
    budget_table: str


def export(
    run: Run,
    *,
    table: FeatureTable,
    name: str,
    version: int,
    policy: Policy,
    out_dir: Path,
    rule: PolicySpec | None = None,
    seasons: SeasonSpec = AUTO,
    target: Mapping[str, int] | None = None,
    precision: str = "auto",
    runtime: str = OLDEST,
    sign: Sign | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Prove and pack `run`; there is no way to skip the proof.

    Args:
        run: Trained on `table`.
        table: All windows, training and test; the baseline is made of them.
        name: Id of the model, `[a-z0-9-]{1,64}`.
        version: 1 or more.
        policy: From scores to a label.
        out_dir: Made if missing.
        rule: That the thresholds of `policy` were chosen by; what they are worth on the test rows goes into the
            manifest.
        seasons: Which strata the baseline is to have, by the times of the recordings.
        target: Limits by name of a `Budget` field; a missing one is no limit.
        precision: "auto" keeps what wins for the target; "float32" and "int8" are kept if they decide alike.
        runtime: The oldest onnxruntime of the target, such as "1.20".
        sign: Signature over the manifest's bytes.
        progress: Told (what, done, total).

    Raises:
        ContractError: The export decides otherwise than the trainer, or cannot be made.
        BudgetError: Over a limit of the target.
    """
    limits = dict(target or {})
    if table.program.digest != run.program.digest or table.dataset.digest != run.dataset.digest:
        raise ContractError(f"run {run.run_id}: the feature table is not the one it was trained on")
    wanted = Wanted(
        model_limit=limits.get("model_bytes"),
        memory_limit=limits.get("memory_bytes"),
        precision=precision,
        runtime=runtime,
    )
    models = make_models(run, wanted, progress=progress)
    test = np.flatnonzero(np.isin(table.groups, run.test_groups))
    baseline, strata, why = _baseline(
        table, run.labels, models, policy, test if len(test) >= ENOUGH else None, seasons=seasons
    )
    models = replace(models, why=models.why | {"strata": why})
    members = {
        "program.json": run.program.to_bytes(),
        **models.members,
        "baseline.json": baseline.to_bytes(),
        **({STRATA: strata.to_bytes()} if strata else {}),
        "golden.json": _golden(run.x_test, models, policy).to_bytes(),
    }
    draft = _manifest(run, models, members, name=name, version=version, policy=policy)
    draft = replace(draft, extra=draft.extra | _worth(rule, run, table, models, policy, test=test))
    needs = budget.needs_of(_bundle(draft, members))
    budget.check(needs, limits, name=f"{name} {version}")
    manifest = replace(draft, budget=needs.budget)
    data = pack(manifest, members, [sign(manifest.to_bytes())] if sign else ())
    _check_golden(data)
    path = _write(out_dir, f"{name}-{version}-{manifest.digest[:12]}.elb", data)
    return Exported(
        path=path,
        digest=manifest.digest,
        manifest=manifest,
        evidence=manifest.evidence,
        evidence_table=parity.table_text(manifest.evidence),
        sizes=models.sizes | {k: len(v) for k, v in members.items()} | {"bundle": len(data)},
        latency_us=models.latency_us,
        why=models.why,
        budget_table=budget.table_text(needs.budget, limits, latency=needs.latency, bundle_bytes=len(data)),
    )


def _manifest(
    run: Run, models: Models, members: Mapping[str, bytes], *, name: str, version: int, policy: Policy
) -> Manifest:
    return Manifest(
        name=name,
        version=version,
        labels=run.labels,
        program_digest=run.program.digest,
        engine=models.engine,
        precision=models.precision,
        policy=policy,
        lineage=Lineage(
            dataset=run.dataset.name,
            dataset_version=run.dataset.version,
            dataset_digest=run.dataset.digest,
            run_id=run.run_id,
        ),
        budget=Budget(state_bytes=0, model_bytes=0, memory_bytes=0, latency_us=0, record_bytes_day=0),
        evidence=tuple(models.evidence),
        members=members_of(members),
        task="values" if task_of(run.estimator) == "values" else "labels",
        extra={"why": models.why},
    )


def _worth(
    rule: PolicySpec | None,
    run: Run,
    table: FeatureTable,
    models: Models,
    policy: Policy,
    *,
    test: npt.NDArray[np.int64],
) -> dict[str, Any]:
    """What the decisions are worth on the test rows, by the form that will run; nothing where no label says."""
    from cloud_trainer.training.policy import worth

    if not len(test) or task_of(run.estimator) != "labels" or tuple(run.labels) != tuple(table.labels):
        return {}
    recording = np.asarray(table.recording)
    rows = test[np.lexsort((table.window[test], recording[test]))]
    names = recording[rows].tolist()
    told, _ = decide_rows(policy, models.scores(np.ascontiguousarray(table.x[rows])), names)
    found = worth(rule or PolicySpec(), table.labels, y=np.asarray(table.y)[rows], told=told, recording=names)
    tested = {name: found[name] for name in ("windows", "abstained")} | {"accuracy": found["precision"]}
    if rule is None or not rule.is_chosen:
        return {"tested": tested}
    by = f"precision {rule.precision:g}" if rule.precision is not None else "cost"
    return {"tested": tested, "decided": {"by": by, **found}}


def decided_text(decided: Mapping[str, Any]) -> str:
    """One line: what was chosen for, if anything, and what came of it on the test rows."""
    n, abstained = decided["windows"], decided["abstained"]
    chosen = f"policy: thresholds chosen for {decided['by']}; " if "by" in decided else ""
    parts = [f"{chosen}of {n} test windows {abstained} abstain"]
    for key, value in decided.items():
        if isinstance(value, list):
            parts.append(f"{key} {value[0]:.3f} ({value[1]:.3f}..{value[2]:.3f})")
    return ", ".join(parts)


def _bundle(manifest: Manifest, members: dict[str, bytes]) -> Bundle:
    return Bundle(manifest=manifest, manifest_bytes=manifest.to_bytes(), members=members)


def _baseline(
    table: FeatureTable,
    names: Sequence[str],
    models: Models,
    policy: Policy,
    test: npt.NDArray[np.int64] | None,
    *,
    seasons: SeasonSpec,
) -> tuple[Baseline, Strata | None, str]:
    """Features of all windows; scores and labels of those that the model did not see, where they are enough."""
    rows = np.arange(len(table.x)) if test is None else test
    recording = np.asarray(table.recording)
    rows = rows[np.lexsort((table.window[rows], recording[rows]))]
    scores = models.scores(np.ascontiguousarray(table.x[rows]))
    labels, _ = decide_rows(policy, scores, recording[rows].tolist())
    decided = np.where(labels < 0, len(names), labels).astype(np.int64)
    baseline = baseline_of(
        features=table.x,
        feature_names=[feature.name for feature in table.program.features],
        recording=table.recording,
        window=table.window,
        scores=scores,
        score_names=names,
        score_rows=rows,
        label_counts=np.bincount(decided, minlength=len(names) + 1).tolist(),
    )
    code = np.unique(recording, return_inverse=True)[1]
    strata, why = strata_of(
        baseline,
        seasons,
        features=Rows(values=table.x, recording=code, window=table.window, time_us=table.time_us),
        scores=Rows(
            values=scores.astype(np.float32),
            recording=code[rows],
            window=table.window[rows],
            time_us=table.time_us[rows],
        ),
        decided=decided,
    )
    return baseline, strata, why


def _golden(x_test: npt.NDArray[np.float32], models: Models, policy: Policy) -> Golden:
    """Test rows with the answers of the form that will run; each row is a stream of its own."""
    whole = x_test[np.isfinite(x_test).all(axis=1)]
    if not len(whole):
        raise ContractError("golden: every test row has a missing value", hint="record a test group without holes")
    rows = spread(whole, GOLDEN_ROWS)
    scores = np.concatenate([models.scores(row[None]) for row in rows])
    _, votes = decide_rows(policy, scores, range(len(rows)))
    return Golden(
        features=tuple(tuple(row) for row in rows.tolist()),
        labels=tuple(votes.tolist()),
        scores=tuple(tuple(row) for row in scores.tolist()),
    )


def _check_golden(data: bytes) -> None:
    """Read the bundle as a device does and ask it its own golden vectors."""
    bundle = load_bundle(data)
    engine, golden = open_engine(bundle), bundle.golden()
    for i, (row, want) in enumerate(zip(golden.features, golden.scores, strict=True)):
        have = tuple(engine.scores(np.array(row, np.float32).data))
        if have != want:
            raise ContractError(f"bundle: golden row {i}: the packed model scores {have}, want {want}")


def _write(out_dir: Path, name: str, data: bytes) -> Path:
    """The file, whole and on disk before it has its name."""
    out_dir.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=out_dir, prefix=".export-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(out_dir / name)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync(out_dir)
    return out_dir / name


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def next_version(folder: Path, name: str) -> int:
    """One more than the greatest version of model `name` in `folder`; 1 of none."""
    found = (re.fullmatch(re.escape(name) + r"-(\d+)-[0-9a-f]{12}\.elb", path.name) for path in folder.glob("*.elb"))
    return 1 + max((int(match[1]) for match in found if match), default=0)


def summary(exported: Exported) -> Sequence[str]:
    """Lines for a terminal: file, choices, evidence, needs."""
    return (
        f"{exported.path.name}: {exported.sizes['bundle']} bytes, digest {exported.digest}",
        *exported.why.values(),
        *(
            decided_text(exported.manifest.extra[key])
            for key in ("tested", "decided")
            if key in exported.manifest.extra
        ),
        exported.evidence_table,
        exported.budget_table,
    )


def describe(bundle: Bundle) -> Sequence[str]:
    """Lines for a terminal: what the manifest says."""
    m, lineage = bundle.manifest, bundle.manifest.lineage
    why = m.extra.get("why", {})
    signers = ", ".join(signature.key_id for signature in bundle.signatures) or "nobody"
    return (
        f"bundle    {bundle.digest}",
        f"name      {m.name} version {m.version}",
        f"engine    {m.engine}, {m.precision}",
        *(f"          {why[key]}" for key in sorted(why)),
        f"{m.task:<9} {', '.join(m.labels)}",
        f"program   {m.program_digest}",
        f"dataset   {lineage.dataset} version {lineage.dataset_version} {lineage.dataset_digest}",
        f"run       {lineage.run_id}",
        *(decided_text(m.extra[key]) for key in ("tested", "decided") if key in m.extra),
        f"signed by {signers} (keys are checked at install)",
        *(f"{member.length:>10} bytes  {member.name}" for member in m.members),
        parity.table_text(m.evidence),
        budget.table_text(m.budget, {}),
    )
