"""The feature program that a project declares: built from its words, or read from the file that it names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime import native
from edge_runtime.contract.program import Channel, Program
from edge_runtime.errors import ContractError, UsageError
from edge_runtime.features import build_program

if TYPE_CHECKING:
    from cloud_trainer.project import Project


def program_of(project: Project) -> Program:
    """The program, checked against the core.

    Raises:
        UsageError: A feature of `features.list` is none, or `features.program` is none for the project's channels.
    """
    wanted = project.features
    if wanted.program:
        program = _read(wanted.program)
        _check_fits(program, project, wanted.program.name)
        return _with_times(program, project)
    program = build_program(
        _channels(project),
        rate_hz=project.data.rate_hz,
        window_frames=wanted.window_frames,
        hop_frames=wanted.hop_frames,
        features=wanted.list,
        derived=wanted.derived,
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
