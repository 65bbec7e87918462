"""A bundle as C: what a board decides is what the daemon decides, to the bit."""

from __future__ import annotations

import functools
import math
import re
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier

from cloud_trainer.export import export
from edge_runtime import firmware, native
from edge_runtime.cli import main
from edge_runtime.contract.bundle import Bundle
from edge_runtime.engines import decide_all, load_bundle
from edge_runtime.errors import ContractError
from edge_runtime.features.reference.row import Value
from tests.csrc.targets import CSRC, HOST, M4, M33, Target, need
from tests.export.made import policy, signal, signal_table, trained
from tests.features.rows import make, records

Library = Callable[[Target], Path]
STRICT = ("-Wall", "-Wextra", "-Werror", "-Wno-unused-function")
DECIDES = r"""
#include <stdio.h>
#include "demo_pump.c"
static const float frames[] = {FRAMES};
_Alignas(8) static unsigned char memory[DEMO_PUMP_BYTES];
int main(void)
{
    er_stream *s;
    const uint32_t n = sizeof frames / sizeof *frames / DEMO_PUMP_CHANNELS;
    er_status status = demo_pump_open(&s, memory, sizeof memory);
    printf("open %d\n", (int)status);
    for (uint32_t at = 0, taken, margin; at < n && status >= 0; at += taken) {
        er_decision d;
        status = er_step(s, frames + at * DEMO_PUMP_CHANNELS, n - at, &taken, &d);
        if (status != ER_OK) continue;
        memcpy(&margin, &d.margin, sizeof margin);
        printf("%u %d %d ", (unsigned)d.window, (int)d.label, (int)d.vote);
        printf("%08x %u\n", (unsigned)margin, (unsigned)d.flags);
    }
    return 0;
}
"""


MADE: dict[str, tuple[Any, dict[str, int], str]] = {  # name -> what is trained, the target's limits, the step that runs
    "fast": (ExtraTreesClassifier(30, random_state=0), {}, "trees_paired"),
    "small": (ExtraTreesClassifier(30, random_state=0), {"model_bytes": 8192}, "trees_small"),
    "fast-holes": (HistGradientBoostingClassifier(max_iter=8), {}, "trees_paired"),
    "small-holes": (HistGradientBoostingClassifier(max_iter=8), {"model_bytes": 8192}, "trees_small"),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A bundle of `MADE`; those with holes were trained on rows that lack a channel, and so take such windows."""

    @functools.cache
    def made(name: str) -> Path:
        estimator, limits, step = MADE[name]
        x, y, recording, window = signal_table()
        if name.endswith("holes"):
            x[::5, 8:16] = np.nan
        run, table = trained(estimator, x, y, recording=recording, window=window)
        path = export(
            run, table=table, name="demo-pump", version=3, policy=policy(3, threshold=0.5, k=2, n=3),
            out_dir=tmp_path_factory.mktemp("pump"), target=limits,
        ).path  # fmt: skip
        assert step in native.Model(load_bundle(path).members["model.erm"]).steps
        return path

    return made


@pytest.fixture(scope="module")
def bundle_file(exported: Callable[[str], Path]) -> Path:
    return exported("fast")


@pytest.fixture(scope="module")
def bundle(bundle_file: Path) -> Bundle:
    return load_bundle(bundle_file)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Target], Path]:
    """The folder of libedge.a and edge.h, as `make lib` leaves them for a target."""

    @functools.cache
    def made(target: Target) -> Path:
        need("make", target.compiler)
        folder = tmp_path_factory.mktemp("lib")
        ar = target.compiler.removesuffix("gcc") + "ar"
        words = [f"LIB={folder}", f"CC={target.compiler}", f"AR={ar}", f"MACHINE={' '.join(target.flags)}"]
        subprocess.run(["make", "-s", "-C", str(CSRC), "lib", *words], check=True)
        assert sorted(path.name for path in folder.iterdir()) == ["edge.h", "libedge.a"]
        return folder

    return made


def written(folder: Path, files: dict[str, str], frames: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Path:
    """main.c beside the files."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="ascii")
    (folder / "main.c").write_text(DECIDES.replace("FRAMES", ",".join(f"{x.hex()}f" for x in frames.ravel().tolist())))
    return folder / "main.c"


def build(target: Target, source: Path, library: Library) -> Path:
    folder = library(target)
    return target.build(
        source, source.parent / "out", f"-I{folder}", f"-I{source.parent}", *STRICT, core=[folder / "libedge.a"]
    )


def decided(bundle: Bundle, frames: np.ndarray[tuple[int, ...], np.dtype[np.float32]], *, flags: int = ~0) -> list[str]:
    bits = [struct.unpack("=I", struct.pack("=f", d.margin))[0] for d in decide_all(bundle, frames.data)]
    return [
        f"{d.window} {d.label} {d.vote} {margin:08x} {d.flags & flags}"
        for d, margin in zip(decide_all(bundle, frames.data), bits, strict=True)
    ]


@pytest.mark.parametrize(
    "target", [HOST, pytest.param(M4, marks=pytest.mark.system), pytest.param(M33, marks=pytest.mark.system)], ids=str
)
@pytest.mark.parametrize(("name", "summary"), [("fast", False), *((name, True) for name in MADE)])
def test_a_board_decides_as_the_daemon(
    exported: Callable[[str], Path], library: Library, target: Target, tmp_path: Path, *, name: str, summary: bool
) -> None:
    """Windows without a channel are decided by models that were trained on such, and by no others."""
    bundle = load_bundle(exported(name))
    frames, _ = signal(77, 900)
    frames[300, 1] = 3e38
    source = written(tmp_path, firmware.export_c(bundle, summary=summary), frames)
    binary = build(target, source, library)
    want = decided(bundle, frames, flags=~0 if summary else ~native.FAR)  # who counts nothing knows no range
    assert len(want) > 20
    assert target.run(binary) == ["open 0", *want]


@pytest.mark.planted
def test_a_golden_score_of_other_bits_is_seen_when_the_stream_opens(
    bundle: Bundle, library: Library, tmp_path: Path
) -> None:
    frames, _ = signal(77, 100)
    files = firmware.export_c(bundle)
    text = files["demo_pump.c"]
    score = re.search(r"golden_scores\[\d+\] = \{\s*0x([0-9a-f]{16})", text)
    assert score
    other = f"{int(score[1], 16) ^ 1:016x}"
    files["demo_pump.c"] = text[: score.start(1)] + other + text[score.end(1) :]
    binary = build(HOST, written(tmp_path, files, frames), library)
    assert HOST.run(binary) == [f"open {native_status('ER_EMISMATCH')}"]


def native_status(name: str) -> int:
    found = re.search(rf"{name} = (-?\d+)", (CSRC / "er.h").read_text())
    assert found
    return int(found[1])


@pytest.mark.parametrize(
    "target", [HOST, pytest.param(M4, marks=pytest.mark.system), pytest.param(M33, marks=pytest.mark.system)], ids=str
)
def test_the_memory_that_the_header_names_is_what_a_stream_takes(
    bundle: Bundle, library: Library, target: Target, tmp_path: Path
) -> None:
    """To the byte: with 8 less it does not open."""
    frames, _ = signal(77, 1)
    source = written(tmp_path, firmware.export_c(bundle), frames)
    assert target.run(build(target, source, library)) == ["open 0"]
    source.write_text(source.read_text().replace("memory, sizeof memory", "memory, sizeof memory - 8"))
    assert target.run(build(target, source, library)) == [f"open {native_status('ER_ENOSPC')}"]


def test_a_stream_that_counts_nothing_takes_less(bundle: Bundle) -> None:
    least, most = (firmware.export_c(bundle, summary=on)["demo_pump.h"] for on in (False, True))
    sizes = [[int(n) for n in re.findall(r"_BYTES = .* \? (\d+) : (\d+)", text)[0]] for text in (least, most)]
    assert sizes[0][0] < sizes[1][0] < sizes[1][1]
    assert sizes[0][0] < sizes[0][1]


ROWS = r"""
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "edge.h"
STEPS
_Alignas(8) static unsigned char memory[1 << 20];
static er_row *r;
static void run(const double *numbers, const er_text *texts)
{
    float out[1024];
    er_row_run(r, numbers, texts, out);
    for (uint32_t i = 0, bits; i < rows.n_cells; i++) {
        memcpy(&bits, &out[i], 4);
        printf(i ? " %08x" : "%08x", bits);
    }
    printf("\n");
}
int main(void)
{
    if (er_row_init(&r, &rows, memory, sizeof memory) != ER_OK) return 1;
    RUNS
    return 0;
}
"""


def number_in_c(x: Value) -> str:
    value = float("nan") if x is None else float(x)
    return value.hex() if math.isfinite(value) else "NAN" if math.isnan(value) else f"{'-' * (value < 0)}INFINITY"


def text_in_c(x: Value) -> str:
    raw = x.encode("utf-8", "surrogatepass") if isinstance(x, str) else None
    return "{NULL, -1}" if raw is None else f"{{{firmware._text(raw)}, {len(raw)}}}"


@pytest.mark.parametrize("seed", range(12))
def test_the_steps_of_a_record_are_the_same_in_c(seed: int, library: Library, tmp_path: Path) -> None:
    """Random programs of row operators: the tables that are written give the cells that Python gives."""
    made = make(seed)
    core, want, runs = native.Rows(made), [], []
    for row in records(seed, made, 12):
        given = list(zip(row, made.record, strict=True))
        want.append(" ".join(f"{bits:08x}" for bits in np.asarray(core.run(row)).view(np.uint32).tolist()))
        numbers = ", ".join(number_in_c(x) for x, field in given if field.kind == "number") or "0"
        texts = ", ".join(text_in_c(x) for x, field in given if field.kind == "text") or "{NULL, -1}"
        runs.append(f"run((double[]){{{numbers}}}, (er_text[]){{{texts}}});")
    text = ROWS.replace("STEPS", "\n".join(firmware._record(made))).replace("RUNS", "\n    ".join(runs))
    (tmp_path / "main.c").write_text(text)
    assert HOST.run(build(HOST, tmp_path / "main.c", library)) == want


def test_a_bundle_for_onnxruntime_is_refused(bundle: Bundle) -> None:
    other = replace(bundle, manifest=replace(bundle.manifest, engine="onnxruntime"))
    with pytest.raises(ContractError, match="bundle demo-pump runs on onnxruntime, which no firmware holds"):
        firmware.export_c(other)


def test_the_command_writes_both_files(bundle_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "board"
    assert main(["export-c", str(bundle_file), "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == ["demo_pump.c", "demo_pump.h"]
    assert "make -C csrc lib" in capsys.readouterr().out
    assert main(["export-c", str(bundle_file), "--out", str(out / "demo_pump.c")]) == 2
    assert "demo_pump.c: File exists" in capsys.readouterr().err
