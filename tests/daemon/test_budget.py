"""What is needed beside what there is: one table, and a refusal that names each excess."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.contract.needs import Need, check, table
from edge_runtime.daemon import budget
from edge_runtime.daemon.config import load_config
from edge_runtime.daemon.decide import load
from edge_runtime.errors import BudgetError
from tests.daemon.rig import Rig
from tests.update.bundles import make_bundle

FITS = Need(what="state", value=10, limit=10, how="exact", hint="never told")
OVER = Need(what="model", value=11, limit=10, how="exact", hint="fewer trees")
FREE = Need(what="bundle", value=10**9, how="exact")


def test_what_fits_to_the_byte_passes() -> None:
    check([FITS, FREE], name="fan")


def test_every_excess_is_named_with_value_limit_and_next_step() -> None:
    late = Need(what="latency", value=900, limit=250, unit="µs", how="measured", hint="a smaller model")
    with pytest.raises(BudgetError) as caught:
        check([FITS, OVER, FREE, late], name="fan")
    first, *rest = str(caught.value).splitlines()
    assert first == "fan needs more than there is: model 11 bytes, limit 10; latency 900 µs, limit 250"
    assert "\n".join(rest) == table([FITS, OVER, FREE, late])
    assert [line.split()[0] for line in rest if line.endswith("<- over")] == ["model", "latency"]
    assert caught.value.hint == "fewer trees; a smaller model"


def test_a_bundle_that_declares_more_time_than_the_device_has_is_refused(tmp_path: Path) -> None:
    rig = Rig(folder=tmp_path)
    bundle = make_bundle(1)
    slow = replace(bundle.manifest, budget=replace(bundle.manifest.budget, latency_us=900))
    loaded = {"m": load(replace(bundle, manifest=slow))}
    for limit, is_refused in ((0, False), (900, False), (899, True)):
        rows = budget.latency(load_config(rig.write(top=f"[budget]\nlatency_us = {limit}\n")), loaded)
        assert any(row.is_over for row in rows) == is_refused
        assert len(rows) == bool(limit)
