"""A bundle that decides beside the active one: what they disagree on is kept, and nobody hears of the rest."""

from __future__ import annotations

from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud_trainer.rollout.keys import signer
from edge_runtime.contract.brief import read_summary
from edge_runtime.contract.bundle import Bundle, unpack
from edge_runtime.contract.event import Event
from edge_runtime.contract.manifest import Policy
from edge_runtime.contract.packed import read_records
from edge_runtime.contract.records import SHADOW
from edge_runtime.daemon import budget, load_config
from edge_runtime.daemon.config import StreamConfig
from edge_runtime.daemon.decide import Runner, load
from edge_runtime.daemon.shadow import Shadow
from edge_runtime.errors import ContractError
from edge_runtime.native import NAN, RESET
from tests.daemon.rig import KEYS, Rig, recording, windows_of
from tests.daemon.test_runner import Station
from tests.update.bundles import PROGRAM, forest, make_bundle, members, packed_bundle

FRAMES = 1000


def other(threshold: float = 0.7, **manifest: Any) -> Bundle:
    """As the tiny bundle, but "high" begins elsewhere."""
    made = unpack(packed_bundle(2, files=members() | {"model.erf": forest(threshold)}))
    return replace(made, manifest=replace(made.manifest, **manifest)) if manifest else made


def played(folder: Path, shadow: Shadow | None) -> Station:
    recording(folder / "run.csv", frames=FRAMES)
    stream = StreamConfig(
        name="m", source=f"playback {folder}/run.csv", period_windows=50, period_s=0.0, sample_k=5, commit_s=3600.0
    )
    station = Station()
    Runner(
        stream, load(make_bundle(1)), device="dev-1", epoch=7, sinks=[station], submit=station.submit,
        report=station.report, shadow=shadow,
    ).run()  # fmt: skip
    return station


def told(station: Station) -> list[dict[str, str | int]]:
    return [Event.from_bytes(draft.encode(1)).fields for draft in station.drafts if draft.kind == "ev"]


def records(station: Station) -> list[tuple[int, int, float, float]]:
    """(window, reason, probability, x.mean)."""
    batches = [read_records(draft.encode(1)) for draft in station.drafts if draft.kind == "rec"]
    return [row for b in batches for row in zip(b.windows, b.reasons, b.probabilities, b.features[::2], strict=True)]


def test_where_labels_differ_the_record_is_kept_with_certainty_and_the_others_are_drawn(tmp_path: Path) -> None:
    station = played(tmp_path, Shadow(other()))
    assert station.last_window == windows_of(FRAMES) - 1
    kept = [row for row in records(station) if row[1] == SHADOW]
    assert len(kept) >= 8
    assert {p for _, _, p, _ in kept} == {1.0}
    assert all(0.5 < mean <= 0.7 for *_, mean in kept), "where one says low and the other high"
    events = told(station)
    assert sum(int(fields["windows"]) for fields in events) == windows_of(FRAMES)
    for at, fields in enumerate(events):
        of_period = [row for row in kept if row[0] // 50 == at]
        assert len(of_period) == min(8, int(fields["differ"]))
        if fields["differ"]:
            assert (fields["active_says"], fields["shadow_says"]) == ("high", "low")
            assert fields["most"] == fields["differ"]
        assert (fields["bundle"], fields["active"]) == (other().digest, make_bundle(1).digest)


def test_one_that_agrees_keeps_nothing(tmp_path: Path) -> None:
    station = played(tmp_path, Shadow(other(0.5)))
    assert SHADOW not in {reason for _, reason, *_ in records(station)}
    assert {fields["differ"] for fields in told(station)} == {0}


def test_no_sink_hears_the_shadow_and_no_number_of_the_active_one_moves(tmp_path: Path) -> None:
    alone, beside = played(tmp_path, None), played(tmp_path, Shadow(other()))
    summaries = [
        [read_summary(draft.encode(1)) for draft in station.drafts if draft.kind == "sum"]
        for station in (alone, beside)
    ]
    counted = [[(one.label_counts, one.rows) for one in found] for found in summaries]
    assert counted[0] == counted[1]
    assert len(counted[0]) == 5
    assert alone.emitted == beside.emitted
    assert len(beside.emitted) == windows_of(FRAMES)
    assert told(alone) == []


class Failing(Shadow):
    """Its engine faults at its tenth window."""

    def differs(self, features: memoryview, label: int, *, flags: int) -> bool:
        if self.windows == 9:
            raise RuntimeError("a bad table")
        return super().differs(features, label, flags=flags)


def test_one_that_faults_is_switched_off_and_the_stream_goes_on(tmp_path: Path) -> None:
    station = played(tmp_path, Failing(other()))
    assert station.last_window == windows_of(FRAMES) - 1
    [fault] = [fields for kind, fields in station.reports if kind == "fault"]
    assert (fault["part"], fault["error"], fault["message"]) == ("shadow", "RuntimeError", "a bad table")
    assert fault["bundle"] == other().digest
    assert told(station) == []


@pytest.mark.parametrize(
    ("bundle", "what"),
    [
        (unpack(packed_bundle(2, files=members() | {"program.json": replace(PROGRAM, rate_hz=20.0).to_bytes()})),
         "feature program"),
        (other(labels=("high", "low")), "labels"),
        (other(task="values"), "task"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused_by_name(bundle: Bundle, what: str) -> None:
    with pytest.raises(ContractError, match=f"shadow tiny: its {what} is"):
        Shadow(bundle).refuse_misfit(make_bundle(1))


def test_a_rollout_of_another_program_switches_it_off_by_name(tmp_path: Path) -> None:
    recording(tmp_path / "run.csv", frames=FRAMES)
    station, config = Station(), StreamConfig(name="m", source=f"playback {tmp_path}/run.csv")
    made = Runner(
        config, load(make_bundle(1)), device="dev-1", epoch=7, sinks=[], submit=station.submit, report=station.report,
        shadow=Shadow(other()),
    )  # fmt: skip
    made.swap(load(make_bundle(3)))
    made._take_over()
    assert "fault" not in dict(station.reports), "the same program: it goes on"
    swapped = unpack(packed_bundle(4, files=members() | {"program.json": replace(PROGRAM, rate_hz=20.0).to_bytes()}))
    made.swap(load(swapped))
    made._take_over()
    fault = dict(station.reports)["fault"]
    assert fault["part"] == "shadow"
    assert "its feature program is" in str(fault["message"])
    made.abandon()


def test_its_own_policy_runs_over_its_own_scores() -> None:
    """Two of three windows must vote; a gap forgets the votes, a window without numbers asks nobody."""
    shadow = Shadow(other(policy=Policy(thresholds_ppm=(0, 0), k=2, n=3, hold_windows=0)))

    def says(mean: float, label: int, flags: int = 0) -> bool:
        return shadow.differs(memoryview(array("f", [mean, 0.0])), label, flags=flags)

    assert says(0.9, -1) is False, "one vote is none"
    assert says(0.9, -1) is True
    assert says(0.9, 1) is False
    assert says(0.9, -1, flags=RESET) is False, "votes began anew"
    before = shadow.windows
    assert says(float("nan"), 1, flags=NAN) is False
    assert shadow.windows == before


def test_a_saved_shadow_goes_on_and_one_of_another_bundle_begins(tmp_path: Path) -> None:
    policy = Policy(thresholds_ppm=(0, 0), k=2, n=3, hold_windows=0)
    one, again, another = Shadow(other(policy=policy)), Shadow(other(policy=policy)), Shadow(other(0.6))
    high = memoryview(array("f", [0.9, 0.0]))
    one.differs(high, 0, flags=0)
    again.restore(one.save())
    assert again.differs(high, 1, flags=0) is False, "the second vote of two"
    assert (again.windows, again.differ) == (2, 1)
    another.restore(one.save())
    assert another.windows == 0
    with pytest.raises(ContractError):
        again.restore(b"\xa0")


def test_a_device_runs_one_that_its_file_names(tmp_path: Path) -> None:
    recording(tmp_path / "run.csv", frames=FRAMES)
    rig = Rig(tmp_path)
    rig.write()
    data = packed_bundle(2, files=members() | {"model.erf": forest(0.7)}, signer=signer(KEYS.release))
    (tmp_path / "next.elb").write_bytes(data)
    rig.write(shadow="next.elb")
    assert rig.start().wait(60) == 0
    events = [event for event in rig.events() if event.kind == "shadow"]
    assert sum(int(event.fields["windows"]) for event in events) == windows_of(FRAMES)
    assert sum(int(event.fields["differ"]) for event in events) > 8
    assert {d["bundle"] for d in rig.decisions()} == {unpack((tmp_path / "tiny.elb").read_bytes()).digest[:12]}
    [start] = [event for event in rig.events() if event.kind == "start"]
    assert start.fields["shadow"] == unpack(data).digest
    another = packed_bundle(5, files=members() | {"model.erf": forest(0.6)}, signer=signer(KEYS.release))
    (tmp_path / "next.elb").write_bytes(another)
    for _ in range(2):
        assert rig.run().returncode == 0, "another file in its place is another shadow, at each start"
    assert [event.fields["shadow"] for event in rig.events() if event.kind == "start"][1:] == [
        unpack(another).digest
    ] * 2
    (tmp_path / "next.elb").write_bytes(packed_bundle(2))
    assert rig.run().returncode == 4, "one that nobody signed is not run, as a shadow neither"


def test_memory_counts_it(tmp_path: Path) -> None:
    shadow, config = Shadow(other()), load_config(Rig(tmp_path).write())
    rows = budget.needs(config, {"m": load(make_bundle(1))}, {"m": shadow.nbytes})
    assert {row.what: row.value for row in rows}["m: shadow's model"] == shadow.nbytes > 0
