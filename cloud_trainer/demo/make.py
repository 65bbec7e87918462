"""Steps 1 to 4 of the demo, and their second turn: recordings to dataset version, features, runs, bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud_trainer.demo.report import Matrix
from cloud_trainer.demo.stage import KNOWN, PROJECT, Loop, confusion_lines, must

if TYPE_CHECKING:
    from cloud_trainer.datasets import DatasetVersion
    from cloud_trainer.export import Exported
    from cloud_trainer.training import Run

CAPTURE_S = 6.0  # for each of the five known workloads


def capture_here(loop: Loop) -> None:
    """1: capture the known workloads on this machine and freeze them with the shipped takes."""
    from cloud_trainer.datasets import ExtraRecording, freeze
    from cloud_trainer.demo.capture import capture_takes
    from cloud_trainer.project import load

    folder = loop.out / "captured"
    takes = capture_takes(
        folder, labels=KNOWN, takes=1, first_take=100, seconds=CAPTURE_S, progress=lambda t: loop.say(f"    {t}")
    )
    extra = [ExtraRecording(file=folder / take.file, label=take.label, group="here") for take in takes]
    version = freeze(load(PROJECT), loop.ws, extra_recordings=extra)
    loop.datasets.append(version)
    _tell(loop, version)


def _tell(loop: Loop, version: DatasetVersion) -> None:
    what = f"{version.rows} frames in {version.recordings} takes" if version.recordings else f"{version.rows} records"
    made_of = f"made of {', '.join(version.parents)}" if version.parents else f"{len(KNOWN)} of them from here"
    loop.line(f"    dataset {version.ref} {version.digest[:12]}: {what}, {made_of}")


def compile_program(loop: Loop) -> None:
    """2: compile the feature program and push the recordings through it."""
    from cloud_trainer.project import load
    from edge_runtime.native import check_program, state_bytes

    program = load(PROJECT).program()
    check_program(program)
    operators = len({feature.op for feature in program.features})
    loop.line(
        f"    program {program.digest[:12]}: {len(program.channels)} channels x {operators} operators, "
        f"{len(program.features)} features; window {program.window_frames}, hop {program.hop_frames} frames; "
        f"{state_bytes(program)} bytes of state"
    )
    materialise(loop)


def materialise(loop: Loop) -> None:
    """Push the newest dataset version through the C core."""
    from cloud_trainer.features import materialise as push
    from cloud_trainer.project import load

    table = push(loop.ws, loop.datasets[-1], load(PROJECT).program())
    loop.tables.append(table)
    loop.line(f"    {len(table.y)} windows of {table.dataset.ref}, by the C core that the devices run")


def train(loop: Loop) -> None:
    """3: train the estimators of the project on the newest table."""
    from cloud_trainer.project import load
    from cloud_trainer.training import best, train_all

    project, table = load(PROJECT), loop.tables[-1]
    runs = train_all(project, table, loop.ws)
    chosen = best(runs, project.train.metric)
    loop.runs.append([chosen, *(run for run in runs if run is not chosen)])
    for run in runs:
        loop.line(
            f"   {'*' if run is chosen else ' '}{run.name:<23} macro F1 {run.metrics['macro_f1']:.3f}  "
            f"accuracy {run.metrics['accuracy']:.3f}  run {run.run_id[:8]}"
        )
    for row in confusion_lines(chosen.labels, chosen.confusion):
        loop.line(f"    {row}")
    counts = tuple(tuple(row) for row in chosen.confusion)
    title = f"{chosen.name} of {table.dataset.ref}, takes {', '.join(chosen.test_groups)} held out"
    loop.report.matrices.append(Matrix(title=title, labels=chosen.labels, counts=counts))


def export_forms(loop: Loop) -> None:
    """4: export the best run, and the forest and MLP beside it to show native form and int8."""
    chosen, *others = loop.runs[-1]
    for run in others:
        if run.name in ("forest", "mlp"):
            _show(loop, export(loop, run, version=1, name=f"host-activity-{run.name}"))
    exported = export(loop, chosen, version=1, name="host-activity")
    _show(loop, exported)
    for line in exported.budget_table.splitlines():
        loop.line(f"    {line}")
    loop.bundles.append(exported)


def export(loop: Loop, run: Run, *, version: int, name: str) -> Exported:
    """Return the signed bundle of *run*; it was compared with the trained model, or it would not be there."""
    from cloud_trainer.export import export as make
    from cloud_trainer.project import load, policy_of
    from cloud_trainer.rollout import create, signer

    project = load(PROJECT)
    loop.keys = loop.keys or create(loop.ws.keys)
    return make(
        run,
        table=loop.tables[-1],
        name=name,
        version=version,
        policy=policy_of(project, run, loop.tables[-1]),
        rule=project.policy,
        seasons=project.seasons,
        out_dir=loop.ws.bundles,
        target=project.target,
        sign=signer(loop.keys.release),
    )


def _show(loop: Loop, exported: Exported) -> None:
    manifest = exported.manifest
    sizes = ", ".join(f"{form} {n}" for form, n in exported.sizes.items())
    loop.line(f"    {exported.path.name}: {manifest.engine} {manifest.precision}, signed; bytes: {sizes}")
    for line in exported.evidence_table.splitlines():
        loop.line(f"      {line}")
    must("the bundle is signed", holds=b"signatures.json" in exported.path.read_bytes())
