"""The whole loop on this machine, in nine steps. One rule: every step does the real thing and says what it got."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from cloud_trainer.demo import field, make
from cloud_trainer.demo.report import Report, render
from cloud_trainer.demo.stage import Loop
from edge_runtime.errors import UsageError

MARKER = ".edgeloop-demo"
STEPS: tuple[tuple[str, Callable[[Loop], None]], ...] = (
    ("capture this machine and freeze a dataset version", make.capture_here),
    ("compile the feature program", make.compile_program),
    ("train", make.train),
    ("export, with proof", make.export_forms),
    ("start three devices", field.start_devices),
    ("telemetry", field.telemetry),
    ("drift", field.drift),
    ("label, freeze, train again", field.retrain),
    ("roll out", field.roll_out),
)


def demo(out: Path, *, say: Callable[[str], None] = print) -> Path:
    """Run the loop in *out* and return the path of the report.

    Raises:
        EdgeloopError: a step failed, or something that must hold does not.
    """
    from cloud_trainer.workspace import Workspace

    _clean(out)
    loop = Loop(
        out=out, say=say, ws=Workspace(out / "workspace"), report=Report(title="Edgeloop: one turn of the loop")
    )
    began = time.monotonic()
    try:
        for number, (title, step) in enumerate(STEPS, 1):
            loop.line(f"[{number}/{len(STEPS)}] {title} ({time.monotonic() - began:.0f} s)")
            step(loop)
        field.evidence(loop)
    finally:
        loop.stop()
    path = out / "report.html"
    path.write_text(render(loop.report), encoding="utf-8")
    say(f"done in {time.monotonic() - began:.0f} s; report: {path}")
    return path


def _clean(out: Path) -> None:
    """Make an empty folder; one that another demo made is emptied, anything else is left alone."""
    if out.exists() and any(out.iterdir()):
        if not (out / MARKER).exists():
            raise UsageError(f"{out} holds something else", hint="name an empty folder with --out")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()
