"""Device state of every format that has shipped starts its bundle; fields of a newer minor format are kept.

golden/<format> holds state records and bundles made by the code of their day, and what the records say.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from edge_runtime.contract import canonical
from edge_runtime.lean import items_of
from edge_runtime.update import slots
from tests.sim.disk import SimDisk, every_power_cut

GOLDEN = Path(__file__).parent / "golden"
PHASES = ("steady", "staged", "trial", "confirmed")
SHIPPED = [(path.name, phase) for path in sorted(GOLDEN.iterdir()) for phase in PHASES]


def device(form: str, phase: str) -> dict[str, bytes]:
    """The files of a device."""
    bundles = (GOLDEN / form / "bundles").iterdir()
    return {f"bundles/{path.name}": path.read_bytes() for path in bundles} | {
        path.name: path.read_bytes() for path in (GOLDEN / form / phase).iterdir()
    }


def stored(disk: SimDisk) -> list[dict[str, object]]:
    """The records as they are on the disk."""
    records = (data for name, data in disk.files.items() if name.startswith("state."))
    found = [canonical.loads(data.partition(b"\n")[2], what="state") for data in records]
    return [one for one in found if isinstance(one, dict)]


def rewritten(files: dict[str, bytes], **fields: object) -> dict[str, bytes]:
    """The same with other fields in each record, None takes one out."""
    out = dict(files)
    for name in ("state.0", "state.1"):
        if name in files:
            known = json.loads(files[name].partition(b"\n")[2]) | fields
            body = canonical.dumps({key: value for key, value in known.items() if value is not None})
            out[name] = sha256(body).hexdigest().encode() + b"\n" + body
    return out


def test_the_format_of_today_is_among_those_that_shipped() -> None:
    assert slots.FORMAT in {form for form, _ in SHIPPED}


@pytest.mark.parametrize(("form", "phase"), SHIPPED)
def test_state_of_every_format_that_shipped_starts_its_bundle(form: str, phase: str) -> None:
    disk = SimDisk(device(form, phase))
    told = json.loads((GOLDEN / form / "facts.json").read_text(encoding="utf-8"))[phase]
    state = slots.load(disk)
    assert {name: value for name, value in items_of(state).items() if name != "extra"} == told
    assert state.extra == {}
    started = slots.start(disk)
    assert started.digest == {"steady": told["a"], "staged": told["b"], "trial": told["a"]}.get(phase, told["b"])
    assert started.fell_back == (told["b"] if phase == "trial" else "")


def test_a_field_that_an_older_format_lacks_has_its_default() -> None:
    disk = SimDisk(rewritten(device("0.1", "steady"), rollout=None, attempts=None, format="0.0"))
    assert slots.load(disk) == slots.load(SimDisk(device("0.1", "steady")))
    slots.keep(disk, order_version=9)
    assert stored(disk)[-1]["format"] == slots.FORMAT


def test_fields_of_a_newer_minor_format_outlive_this_program() -> None:
    disk = SimDisk(rewritten(device("0.1", "staged"), format="0.9", region="north"))
    slots.start(disk)
    slots.confirm(disk)
    assert [record["region"] for record in stored(disk)] == ["north", "north"]


def test_a_migration_cut_anywhere_leaves_the_old_record_or_the_new() -> None:
    """The first write of this program over a record of an older format is like any other."""
    before = rewritten(device("0.1", "confirmed"), rollout=None, format="0.0")
    old = slots.load(SimDisk(before))
    wanted = old.order_version + 1
    for disk in every_power_cut(lambda disk: slots.keep(disk, order_version=wanted), before):
        state = slots.load(disk)
        assert state.confirmed == old.confirmed
        assert state.order_version in (old.order_version, wanted)
