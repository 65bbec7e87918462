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
from tests.profile.bundles import ESTIMATORS, PROGRAMS, frames, made

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


def case(bundle: Bundle) -> str:
    """The bundle's own firmware, deciding windows of a signal."""
    program = program_of(bundle)
    n = program.window_frames + MORE * program.hop_frames
    files = firmware.export_c(bundle)
    name = bundle.manifest.name.replace("-", "_")
    text = re.sub(r'#include "(edge|\w+)\.h"\n', "", files[f"{name}.h"] + files[f"{name}.c"])
    values = ",".join(f"{x.hex()}f" for x in frames()[:n].ravel().tolist())
    runs = DECIDES.replace("FRAMES", values).replace("NAME", name).replace("HOP", str(program.hop_frames))
    own = f"#define {name}_open CASE_open\n#define {name}_labels CASE_labels\n"
    return own + text + runs.replace("CHANNELS", str(len(program.channels)))


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    return {
        f"{program} {estimator}": load_bundle(
            made(PROGRAMS[program](), ESTIMATORS[estimator](), folder / program / estimator)
        )
        for program in PROGRAMS
        for estimator in ESTIMATORS
    }


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
        off[name] = total / n - 1
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
