"""The feature program that a project declares: built from its words, or read from the file that it names.

One rule: what is fitted is fitted on training groups alone, once for a dataset version; the program then holds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime import native
from edge_runtime.contract.program import Channel, Program
from edge_runtime.errors import ContractError, UsageError
from edge_runtime.features import build_program

if TYPE_CHECKING:
    from cloud_trainer.datasets import DatasetVersion, Recording
    from cloud_trainer.features.fit import Columns
    from cloud_trainer.project import Features, Project
    from cloud_trainer.workspace import Workspace
    from edge_runtime.features.program import Derived, Entry
    from edge_runtime.features.spec import Spec


def is_open(project: Project) -> bool:
    """Whether a statistic of its features comes from training data, such as "age:standardise"."""
    from cloud_trainer.features import needs_fit

    wanted = project.features
    return not wanted.program and bool(project.fields) and needs_fit([*_sources(wanted), *wanted.list])


def program_for(project: Project, ws: Workspace, dataset: DatasetVersion) -> Program:
    """The program with every statistic of the dataset's training groups in it, checked against the core.

    Labelled records hold features by one program: a version of records has that program, not a new one.

    Raises:
        UsageError: As `program_of`, or a statistic has no value to come from.
        ContractError: The program that made the records is not in this workspace.
    """
    if not is_open(project):
        return program_of(project)
    if dataset.record_program:
        return _kept(ws, dataset)
    program = program_of(project, _training_columns(project, ws, dataset))
    path = _shelf(ws, program.digest)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(program.to_bytes())
    return program


def program_of(project: Project, training: Columns | None = None) -> Program:
    """The program, checked against the core.

    Args:
        project: Declares it.
        training: Field -> training values, where `is_open(project)`.

    Raises:
        UsageError: A feature of `features.list` is none, or `features.program` is none for the project's channels.
    """
    wanted = project.features
    entries: Sequence[Entry] = wanted.list
    derived: Mapping[str, Derived] = wanted.derived
    if is_open(project):
        if training is None:
            raise UsageError(
                "features.list: a statistic comes from training data, and none is named",
                hint="`cloud-trainer features --dataset NAME@1` fits it; `cloud-trainer run` does too",
            )
        entries, derived = _fitted(wanted, training)
    if wanted.program:
        program = _read(wanted.program)
        _check_fits(program, project, wanted.program.name)
        return _with_times(program, project)
    program = build_program(
        _channels(project),
        rate_hz=project.data.rate_hz,
        window_frames=wanted.window_frames,
        hop_frames=wanted.hop_frames,
        features=entries,
        derived=derived,
        fields={each.name: each.kind for each in project.fields},
        timing=wanted.timing,
    )
    return _with_times(program, project)


def _with_times(program: Program, project: Project) -> Program:
    if program.timing and project.data.time is None:
        raise UsageError(
            f"features.timing: policy {program.timing.policy!r}, but the recordings have no times",
            hint='name their column, as in: [data] time_us = "t"',
        )
    return program


def _sources(wanted: Features) -> list[str]:
    """The entries of `derived`, without names."""
    return [each if isinstance(each, str) else each.get("from", "") for each in wanted.derived.values()]


def _fitted(wanted: Features, training: Columns) -> tuple[list[Spec], dict[str, Derived]]:
    """Entries and derived fields with every statistic in them."""
    from cloud_trainer.features import fit_entries, needs_fit

    derived: dict[str, Derived] = dict(wanted.derived)
    done: dict[str, Derived] = {}
    for (name, each), entry in zip(wanted.derived.items(), _sources(wanted), strict=True):
        if needs_fit([entry]):
            spec, *others = fit_entries([entry], training, derived=done)
            if others:
                raise UsageError(
                    f"derived {name} = {entry!r}: it is {1 + len(others)} fields, and one is wanted",
                    hint="name one source",
                )
            derived[name] = done[name] = spec if isinstance(each, str) else {**each, "from": spec}
        elif not set(entry.partition(":")[0].split(",")).isdisjoint({*training, *done}):
            done[name] = each
    return fit_entries(wanted.list, training, derived=done), derived


def _training_columns(project: Project, ws: Workspace, dataset: DatasetVersion) -> Columns:
    """Field -> the values of all recordings that are not in the test groups."""
    from cloud_trainer.datasets import read_frames
    from cloud_trainer.datasets.content import joined

    theirs = {field.name: field.kind for field in dataset.fields}
    for spec in project.fields:
        if theirs.get(spec.name) != spec.kind:
            there = ", ".join(f"{name} ({kind})" for name, kind in theirs.items()) or "none"
            raise UsageError(
                f"dataset {dataset.ref}: no field {spec.name!r} of kind {spec.kind}",
                hint=f"it has {there}; `cloud-trainer data freeze` makes a version of the project as it is now",
            )
    recordings = read_frames(ws, dataset)
    test = _test_groups(project, recordings)
    kept = [recording for recording in recordings if recording.group not in test]
    if not kept:
        raise UsageError("split: no group is left for training", hint="name fewer groups in split.test")
    return {field.name: joined([recording.fields[field.name] for recording in kept]) for field in dataset.fields}


def _test_groups(project: Project, recordings: Sequence[Recording]) -> set[str]:
    """As `training.split` chooses them."""
    from cloud_trainer.features import labelled_windows
    from cloud_trainer.training.split import ANY, choose

    spec, wanted = project.split, project.features
    if spec.test:
        return set(spec.test)
    is_values, by_label = bool(project.labels.values), project.train.task == "labels"
    windows = [
        (label if by_label else ANY, recording.group)
        for recording in recordings
        for label in labelled_windows(recording, wanted.window_frames, wanted.hop_frames, by_last=is_values).values()
    ]
    labels, groups = [label for label, _ in windows], [group for _, group in windows]
    return set(choose(labels, groups, spec.test_fraction, seed=spec.seed))


def _shelf(ws: Workspace, digest: str) -> Path:
    return ws.root / "programs" / f"{digest}.json"


def _kept(ws: Workspace, dataset: DatasetVersion) -> Program:
    path = _shelf(ws, dataset.record_program)
    try:
        return Program.from_bytes(path.read_bytes())
    except OSError as why:
        raise ContractError(
            f"dataset {dataset.ref}: the program {dataset.record_program[:12]} of its records: {path}: {why.strerror}",
            hint="use the workspace that trained it",
        ) from why


def _channels(project: Project) -> list[Channel]:
    return [
        Channel(name=c.name, unit=c.unit, scale=c.scale, offset=c.offset, every=c.every, taper=c.taper)
        for c in project.channels
    ]


def _read(path: Path) -> Program:
    try:
        program = Program.from_bytes(path.read_bytes())
        native.check_program(program)
    except OSError as why:
        raise UsageError(
            f"features.program: {path}: {why.strerror}",
            hint="`cloud-trainer features --out FILE` writes one, and so does the builder: program.to_bytes()",
        ) from why
    except ContractError as why:
        raise UsageError(f"features.program: {path.name}: {why}", hint=why.hint) from why
    return program


def _check_fits(program: Program, project: Project, name: str) -> None:
    """Its frames are those of the project: rate, and of each channel all that says what a raw value is."""
    if program.rate_hz != project.data.rate_hz:
        raise UsageError(
            f"features.program: {name}: rate_hz {program.rate_hz:g} is not data.rate_hz, {project.data.rate_hz:g}",
            hint="make them one",
        )
    kinds = [(each.name, each.kind) for each in project.fields]
    if kinds != [(each.name, each.kind) for each in program.record]:
        raise UsageError(
            f"features.program: {name}: the fields of its records are not those of [[field]]",
            hint=f"edit {project.path.name}, or build the program for these fields",
        )
    ours = [(c.name, c.unit, c.scale, c.offset) for c in _channels(project)]
    theirs = [(c.name, c.unit, c.scale, c.offset) for c in program.channels]
    if ours != theirs:
        pairs = zip(theirs, ours, strict=False)
        first = next((f"{a} is not {b}" for a, b in pairs if a != b), f"{len(theirs)} are not {len(ours)}")
        raise UsageError(
            f"features.program: {name}: its channels (name, unit, scale, offset) are not those of [[channel]]: {first}",
            hint=f"edit {project.path.name}, or build the program for these channels",
        )
