"""What `cloud-trainer profile` says of instructions is near what each target executes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cloud_trainer.profile.counted import TARGETS
from cloud_trainer.profile.instructions import WITHIN, instructions
from edge_runtime import firmware, native
from edge_runtime.contract.bundle import Bundle
from edge_runtime.engines import load_bundle, program_of
from tests.csrc import calibrate
from tests.csrc.cost import budgets
from tests.csrc.counted import MORE, count
from tests.profile.bundles import ESTIMATORS, PROGRAMS, RECORDS, frames, made, made_of_records

DECIDES = """
static const float frames[] = {FRAMES};
int CASE(unsigned times)
{
    er_stream *s;
    er_decision d;
    uint32_t taken, at = 0;
    int status = NAME_open(&s, counted_memory, sizeof counted_memory);
    for (unsigned n = 0; n < times;) {
        const er_status did = er_step(s, frames + at * CHANNELS, HOP, &taken, &d);
        at += taken;
        n += did == ER_OK;
        status |= did < 0;
    }
    return status;
}
"""


OF_RECORDS = """
int CASE(unsigned times)
{
    er_stream *s;
    er_decision d;
    uint32_t taken;
    int status = NAME_open(&s, counted_memory, sizeof counted_memory);
    for (unsigned n = 0; n < times; n++)
        for (int i = 0; i < N_ROWS; i++) {
            status |= er_row_run(er_stream_row(s), numbers[i], texts[i], er_stream_cells(s));
            status |= er_step(s, NULL, 1, &taken, &d);
        }
    return status;
}
"""


def case(bundle: Bundle) -> str:
    """The bundle's own firmware, deciding windows of a signal, or all of `RECORDS` at a time."""
    program = program_of(bundle)
    if not program.channels:
        return of_records(bundle)
    n = program.window_frames + MORE * program.hop_frames
    name = bundle.manifest.name
    values = ",".join(f"{x.hex()}f" for x in frames()[:n].ravel().tolist())
    runs = DECIDES.replace("FRAMES", values).replace("NAME", name).replace("HOP", str(program.hop_frames))
    return own_text(bundle) + runs.replace("CHANNELS", str(len(program.channels)))


def of_records(bundle: Bundle) -> str:
    columns = list(zip(*RECORDS, strict=True))
    kinds = [field.kind for field in program_of(bundle).record]
    numbers = [c for c, kind in zip(columns, kinds, strict=True) if kind == "number"]
    texts = [c for c, kind in zip(columns, kinds, strict=True) if kind == "text"]
    rows = [", ".join(firmware._d(float(v)) for v in row) for row in zip(*numbers, strict=True)]
    words = [", ".join(f'{{"{v}", {len(str(v))}}}' for v in row) for row in zip(*texts, strict=True)]
    tables = [f"static const double numbers[][{len(numbers)}] = {{{{{'}, {'.join(rows)}}}}};"]
    tables.append(f"static const er_text texts[][{len(texts)}] = {{{{{'}, {'.join(words)}}}}};")
    runs = OF_RECORDS.replace("NAME", bundle.manifest.name).replace("N_ROWS", str(len(RECORDS)))
    return own_text(bundle) + "\n".join(tables) + runs


def own_text(bundle: Bundle) -> str:
    """Header and source of the firmware, under a name of its own."""
    name = bundle.manifest.name
    files = firmware.export_c(bundle)
    text = re.sub(r'#include "(edge|\w+)\.h"\n', "", files[f"{name}.h"] + files[f"{name}.c"])
    return f"#define {name}_open CASE_open\n#define {name}_labels CASE_labels\n" + text


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    found = {
        f"{program} {estimator}": load_bundle(
            made(PROGRAMS[program](), ESTIMATORS[estimator](), folder / program / estimator)
        )
        for program in PROGRAMS
        for estimator in ESTIMATORS
    }
    for name in ("forest", "logistic"):
        found[f"records {name}"] = load_bundle(made_of_records(ESTIMATORS[name](), folder / "records" / name))
    return found


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", list(TARGETS))
def test_the_estimate_of_a_bundle_is_near_what_the_target_executes(
    target: str, bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    """Within 25 %, model and features together, on bundles that nothing was fitted to."""
    counted = count(calibrate.TARGETS[target], [case(each) for each in bundles.values()], tmp_path)
    off = {}
    for (name, bundle), n in zip(bundles.items(), counted, strict=True):
        total = instructions(bundle, target).total
        assert total is not None
        off[name] = total * (1 if program_of(bundle).channels else len(RECORDS)) / n - 1
    print({name: f"{value:+.0%}" for name, value in off.items()})
    assert all(abs(value) < WITHIN for value in off.values()), off


def test_what_is_held_as_exact_is_that_of_the_gates() -> None:
    """Stack, and the standard window that a selftest times; `python -m tests.csrc.calibrate` writes them."""
    gates = budgets()
    for name, counted in TARGETS.items():
        gate = gates[calibrate.TARGETS[name].name]
        assert (counted["stack_bytes"], counted["standard_window"]) == (gate.stack_bytes, gate.instructions)


def test_every_operator_and_step_was_counted() -> None:
    """A new one: `python -m tests.csrc.calibrate` counts it."""
    ids = {op.id for op in native.operators()}
    for counted in TARGETS.values():
        kinds = {kind.split(" ")[0] for kind in counted["steps"]}
        assert set(native.model.STEPS) <= kinds
    assert ids <= set(TARGETS["cortex-m4f"]["operators"])
