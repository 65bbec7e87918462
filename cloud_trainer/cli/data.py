"""Commands from recordings to runs. One rule: a command reads its words, calls the part, prints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cloud_trainer.datasets import DatasetVersion
    from cloud_trainer.project import Project
    from cloud_trainer.training import Run
    from cloud_trainer.workspace import Workspace

ProjectFile = Annotated[Path, typer.Option("--project", "-p", help="The project file.")]
WorkspaceDir = Annotated[
    Path | None, typer.Option("--workspace", "-w", help="Where everything is kept; beside the project file.")
]
Dataset = Annotated[str, typer.Option("--dataset", "-d", help="Version to use, such as har@2; else freeze now.")]

_FILE = Path("edgeloop.toml")


def register(app: typer.Typer) -> None:
    """Add the commands `init`, `data …`, `features`, `train`, `run`."""
    group = typer.Typer(help="Dataset versions: freeze recordings, look at what is frozen.", no_args_is_help=True)
    group.command("freeze")(freeze)
    group.command("list")(list_versions)
    group.command("show")(show)
    group.command("label")(label)
    app.command("init")(init)
    app.add_typer(group, name="data")
    app.command("features")(features)
    app.command("train")(train)
    app.command("run")(run)


def init(folder: Annotated[Path, typer.Argument(help="Folder for the project file.")] = Path()) -> None:
    """Write a commented edgeloop.toml."""
    from cloud_trainer.project import FILE, write_template

    write_template(folder / FILE)
    print(f"wrote {folder / FILE}; describe your data in it, then: cloud-trainer run")


def freeze(
    project: ProjectFile = _FILE,
    workspace: WorkspaceDir = None,
    name: Annotated[str, typer.Option(help="Of the dataset; else the project's name.")] = "",
) -> None:
    """Freeze the recordings of the project as a dataset version."""
    loaded, ws = _open(project, workspace)
    _freeze(loaded, ws, name)


def list_versions(project: ProjectFile = _FILE, workspace: WorkspaceDir = None) -> None:
    """List every dataset version."""
    from cloud_trainer.datasets import versions

    ws = _workspace(project, workspace)
    rows = [[v.ref, v.digest[:12], str(v.rows), str(v.recordings), ", ".join(v.parents)] for v in versions(ws)]
    _table(["version", "digest", "rows", "recordings", "parents"], rows)


def show(
    ref: Annotated[str, typer.Argument(help="Such as har@2, or a name for its latest version.")],
    project: ProjectFile = _FILE,
    workspace: WorkspaceDir = None,
) -> None:
    """Show what a dataset version holds."""
    from cloud_trainer.datasets import load, read_frames, read_records

    ws = _workspace(project, workspace)
    version = load(ws, ref)
    _describe(version)
    recordings = read_frames(ws, version)
    rows = []
    labels = () if version.targets else version.labels
    for recording in recordings:
        counts = dict.fromkeys(labels, 0)
        for start, end, label in recording.spans if labels else ():
            counts[label] += end - start
        rows.append([recording.name, recording.group, str(len(recording.frames)), *map(str, counts.values())])
    if recordings:
        _table(["recording", "group", "frames", *labels], rows)
    elif records := read_records(ws, version):
        counts = {label: list(records.labels).count(label) for label in version.labels}
        _table(["label", "records"], [[label, str(n)] for label, n in counts.items()])


def label(
    labels: Annotated[Path, typer.Argument(help="CSV: record (DEVICE:EPOCH:SEQ), label and, if wanted, group.")],
    parent: Annotated[str, typer.Option(help="Dataset version that the records are added to, such as har@1.")],
    project: ProjectFile = _FILE,
    workspace: WorkspaceDir = None,
) -> None:
    """Freeze labelled records of the fleet on top of a dataset version; then: cloud-trainer run --dataset."""
    from cloud_trainer.datasets import freeze as freeze_now
    from cloud_trainer.datasets import labelled_rows, load, read_labels

    loaded, ws = _open(project, workspace)
    rows = labelled_rows(ws, read_labels(labels))
    _describe(freeze_now(loaded, ws, records=rows, parents=[load(ws, parent)]))


def features(
    project: ProjectFile = _FILE,
    workspace: WorkspaceDir = None,
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", help="Fit statistics on this version, such as har@2.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="Write the program to this file too: features.program reads it.")
    ] = None,
) -> None:
    """Print the feature program: channels, operators, window, hop, bytes of state."""
    from cloud_trainer.datasets import load
    from cloud_trainer.definition import program_for, program_of
    from edge_runtime import native
    from edge_runtime.errors import UsageError
    from edge_runtime.features import describe

    loaded, ws = _open(project, workspace)
    program = program_for(loaded, ws, load(ws, dataset)) if dataset else program_of(loaded)
    native.check_program(program)
    print(describe(program))
    print(f"digest {program.digest}")
    if out:
        try:
            out.write_bytes(program.to_bytes())
        except OSError as why:
            raise UsageError(f"{out}: {why.strerror}", hint="name a folder that exists and can be written") from why


def train(project: ProjectFile = _FILE, workspace: WorkspaceDir = None, dataset: Dataset = "") -> None:
    """Train every estimator of the project; print the runs and the best one's confusion matrix."""
    loaded, ws = _open(project, workspace)
    _train(loaded, ws, dataset)


def run(
    project: ProjectFile = _FILE,
    workspace: WorkspaceDir = None,
    dataset: Dataset = "",
    *,
    version: Annotated[int, typer.Option(min=0, help="Of the bundle; default: one more than the newest.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of the bundle; default: the workspace's.")] = None,
    precision: Annotated[str, typer.Option(help="auto, float32 or int8; default: the project's [target].")] = "",
) -> None:
    """Execute the project from data to bundle: freeze, features, train, export the best run."""
    from cloud_trainer.cli.export import export

    loaded, ws = _open(project, workspace)
    chosen = _train(loaded, ws, dataset)
    export(chosen.run_id, project=project, workspace=ws.root, version=version, out=out, precision=precision)


def _workspace(project: Path, workspace: Path | None) -> Workspace:
    from cloud_trainer.workspace import DEFAULT, existing

    return existing(workspace or project.absolute().parent / DEFAULT)


def _open(project: Path, workspace: Path | None) -> tuple[Project, Workspace]:
    from cloud_trainer.project import load
    from cloud_trainer.workspace import Workspace

    loaded = load(project)
    return loaded, Workspace(workspace or loaded.workspace)


def _freeze(project: Project, ws: Workspace, name: str) -> DatasetVersion:
    from cloud_trainer.datasets import freeze as freeze_now

    with _Meter() as progress:
        version = freeze_now(project, ws, name=name, progress=progress)
    _describe(version)
    return version


def _train(project: Project, ws: Workspace, dataset: str) -> Run:
    from cloud_trainer.datasets import load
    from cloud_trainer.definition import is_open, program_for
    from cloud_trainer.features import materialise
    from cloud_trainer.training import best, train_all
    from edge_runtime import native

    if not is_open(project):
        native.check_program(project.program())  # before the recordings are read: a wrong feature is told at once
    version = load(ws, dataset) if dataset else _freeze(project, ws, "")
    program = program_for(project, ws, version)
    with _Meter() as progress:
        table = materialise(ws, version, program, progress=progress)
        runs = train_all(project, table, ws, progress=progress)
    print(f"{len(table.y)} windows x {table.x.shape[1]} features")
    chosen = best(runs, project.train.metric)
    print_runs(runs, chosen)
    return chosen


def print_runs(runs: Sequence[Run], chosen: Run) -> None:
    """Print the runs, the best one marked, and its confusion matrix where it has one."""
    from cloud_trainer.estimators import METRICS
    from cloud_trainer.task import task_of

    task = task_of(chosen.estimator)
    names = METRICS[task]
    rows = [
        [
            ("* " if each is chosen else "  ") + each.name,
            *(f"{each.metrics[name]:.4f}" for name in names),
            each.run_id,
            "; ".join(each.notes),
        ]
        for each in runs
    ]
    _table(["  estimator", *names, "run", "notes"], rows)
    groups = ", ".join(chosen.test_groups)
    if task in ("values", "clusters"):
        print(f"{chosen.name} on {len(chosen.y_test)} windows of groups {groups}")
        return
    print(f"{chosen.name} on {len(chosen.y_test)} windows of groups {groups} (row = true, column = predicted)")
    cells = [[label, *map(str, row)] for label, row in zip(chosen.labels, chosen.confusion, strict=True)]
    _table(["", *chosen.labels], cells)


def _describe(version: DatasetVersion) -> None:
    what = f"{version.recordings} recordings" if version.recordings else "records"
    names = f"values {', '.join(version.targets)}" if version.targets else f"labels {', '.join(version.labels)}"
    print(f"dataset {version.ref}: {version.rows} rows, {what}, {names}")
    print(f"digest {version.digest}")
    if version.parents:
        print(f"made from {', '.join(version.parents)}")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns as wide as they need; the first is flush left, figures flush right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, *rows]:
        cells = [
            cell.ljust(width) if i == 0 or (not cell[:1].isdigit() and row is not head) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


class _Meter:
    """Progress on standard error: one line, rewritten on a terminal, written when done elsewhere."""

    def __enter__(self) -> Callable[[str, int, int], None]:
        self._is_terminal = sys.stderr.isatty()
        return self._show

    def __exit__(self, *exc: object) -> None:
        if self._is_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _show(self, what: str, done: int, of: int) -> None:
        if self._is_terminal:
            print(f"\r\x1b[K{what} {done}/{of}", end="", file=sys.stderr, flush=True)
        elif done == of:
            print(f"{what} {done}/{of}", file=sys.stderr, flush=True)
