"""Raw windows in the store: acknowledged after the commit, once, beside their records, and as files to be labelled."""

from __future__ import annotations

import csv
import json
import tracemalloc
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud_trainer.ingest import schema, view
from cloud_trainer.ingest.broker import Broker
from cloud_trainer.ingest.consumer import VALUES, Consumer
from cloud_trainer.ingest.pending import RECORD_VALUES, Pending
from cloud_trainer.ingest.quota import Quota
from cloud_trainer.ingest.store import append
from cloud_trainer.ingest.tail import line
from cloud_trainer.labels import import_labels, write_windows
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.contract.ack import Ack
from edge_runtime.contract.birth import RawRule
from edge_runtime.contract.bundle import Bundle, unpack
from edge_runtime.contract.program import Channel
from edge_runtime.contract.window import MAX_VALUES, Window
from edge_runtime.errors import UsageError
from tests.cli.app import call
from tests.ingest import samples
from tests.ingest.mqtt import Client
from tests.ingest.samples import DEVICE, EPOCH, SITE, STREAM
from tests.update.bundles import PROGRAM, members, packed_bundle

RAW = topics.up(SITE, DEVICE, "raw", STREAM)
REC = topics.up(SITE, DEVICE, "rec", STREAM)


def window(seq: int, number: int, *, bundle: str = samples.BUNDLE, values: int = 8) -> Window:
    return Window(
        header=replace(samples.header(), bundle=bundle), seq=seq, clock=1, window=number, time_ms=samples.START_MS,
        reason=2, rate_hz=10.0, names=("x",), n_values=(values,),
        values=array("f", [0.25 * i + seq for i in range(values)]),
    )  # fmt: skip


def test_a_window_is_stored_once_and_acknowledged_by_name(ws: Workspace) -> None:
    pending = Pending()
    for _ in range(2):
        pending.add(RAW, window(9, 40).to_bytes(), now_ms=7)
    assert pending.values == 16
    commit = pending.take()
    assert (commit.ranges, pending.values) == ({(SITE, DEVICE, EPOCH): ((9, 9),)}, 0)
    append(ws.tables, commit.tables)
    found = view.windows(ws)
    [row] = [dict(zip(found.columns, values, strict=True)) for values in found.fetchall()]
    assert (row["seq"], row["window"], row["reason"], row["rate_hz"]) == (9, 40, "uncertain", 10.0)
    assert (json.loads(row["channels"]), row["n_values"]) == (["x"], [8])
    assert row["values"] == window(9, 40).values.tolist()
    assert list(row) == list(schema.TABLES["windows"])


def test_a_window_of_another_device_or_no_window_at_all_is_set_aside() -> None:
    pending = Pending()
    pending.add(topics.up(SITE, "other", "raw", STREAM), window(1, 1).to_bytes(), now_ms=7)
    pending.add(RAW, samples.records().to_bytes(), now_ms=7)
    commit = pending.take()
    assert len(commit.tables["quarantine"]["reason"]) == 2
    assert commit.acks() == []


def test_a_window_weighs_in_a_quota_by_its_length() -> None:
    """Else a device could fill the store with rows of 256 KiB."""
    pending = Pending(Quota(100))
    for seq in range(1, 30):
        pending.add(RAW, window(seq, seq, values=4096).to_bytes(), now_ms=7)
    stored = len(pending.take().tables["windows"]["seq"])
    assert stored == 2400 // (4096 // RECORD_VALUES)


def test_long_windows_are_committed_before_they_fill_the_memory(ws: Workspace) -> None:
    """What waits is read into a commit of 16 MiB and no more, however many rows and seconds it might take."""
    longest = replace(
        window(5, 20), names=tuple(f"c{i}" for i in range(16)), n_values=(4096,) * 16,
        values=array("f", bytes(4 * MAX_VALUES)),
    )  # fmt: skip
    payload, fit = longest.to_bytes(), VALUES // MAX_VALUES
    consumer = Consumer(ws.tables, "nowhere", 1, commit_s=600.0, commit_rows=10**9)
    for mid in range(fit + 5):
        consumer._arrived.put((0, mid, RAW, payload))
    consumer._gather()
    commit = consumer._pending.take()
    held = len(commit.tables["windows"]["values"].flat)
    assert (held, 4 * held) == (VALUES, 16 << 20)
    assert consumer._arrived.qsize() == 5, "these wait for the next one"


def test_a_device_hears_of_its_window_after_the_commit(broker: Broker, ws: Workspace) -> None:
    consumer = Consumer(ws.tables, broker.host, broker.port, shared=broker.shares, commit_s=0.05)
    consumer.start()
    ack = topics.down(SITE, DEVICE, "ack")
    with Client(broker.port, "d", topics=(ack,)) as device:
        device.publish(RAW, window(5, 50).to_bytes())
        assert Ack.from_bytes(device.next().payload) == Ack(epoch=EPOCH, ranges=((5, 5),))
    consumer.stop()
    assert view.sql(ws, "select seq from windows").fetchall() == [(5,)]


def test_what_a_device_allows_is_asked_in_the_store(ws: Workspace) -> None:
    """Privacy is checked from the cloud: which devices let what go."""
    rule = RawRule(channels=("x",), reasons=("fault",), windows=2)
    pending = Pending()
    for raw in ({}, {"main": rule}):
        born = replace(samples.birth(), time_ms=len(raw), raw=raw, raw_bytes_day=1000)
        pending.add(topics.up(SITE, DEVICE, "birth"), born.to_bytes(), now_ms=7)
    pending.add(topics.up(SITE, DEVICE, "birth"), replace(samples.birth(), time_ms=2).to_bytes(), now_ms=7)
    append(ws.tables, pending.take().tables)
    told = [text for (text,) in view.sql(ws, "select raw from births order by time_ms").fetchall()]
    assert [text and json.loads(text) for text in told] == [
        {"bytes_day": 1000, "streams": {}},
        {"bytes_day": 1000, "streams": {"main": {"channels": ["x"], "reasons": ["fault"], "windows": 2}}},
        None,
    ]


def test_a_tail_shows_it() -> None:
    assert json.loads(line(RAW, window(1, 3).to_bytes()))["raw"]["values"][1] == 1.25


# ---- files for a person


def scaled() -> tuple[bytes, Bundle]:
    """The tiny bundle, its channel in other units and with one of another rate beside it."""
    channels = (Channel(name="x", unit="m", scale=0.5, offset=1.0), Channel(name="t", unit="C", every=4))
    data = packed_bundle(1, files=members() | {"program.json": replace(PROGRAM, channels=channels).to_bytes()})
    return data, unpack(data)


@pytest.fixture
def labelled(ws: Workspace) -> Workspace:
    """Records of windows 10, 20, 30, 40 and the frames of two of them, and of one whose record is not there."""
    data, bundle = scaled()
    (ws.bundles / "tiny.elb").write_bytes(data)
    records = samples.records(1, 4)
    pending = Pending()
    pending.add(REC, replace(records, header=replace(records.header, bundle=bundle.digest)).to_bytes(), now_ms=7)
    for seq, number in ((5, 20), (6, 30), (7, 99)):
        one = replace(
            window(seq, number, bundle=bundle.digest), names=("x", "t"), n_values=(8, 2),
            values=array("f", [1.5] * 7 + [1.0] + [20.0, 21.0]),
        )  # fmt: skip
        pending.add(RAW, one.to_bytes(), now_ms=7)
    append(ws.tables, pending.take().tables)
    return ws


def test_windows_are_written_as_recordings_with_a_sheet_for_their_labels(labelled: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "look"
    written, left_out = write_windows(labelled, out)
    assert not left_out
    assert [(one.record, one.window, one.reason) for one in written] == [
        (f"{DEVICE}:{EPOCH}:2", 20, "uncertain"), (f"{DEVICE}:{EPOCH}:3", 30, "uncertain")
    ]  # fmt: skip
    lines = (out / written[0].file).read_text().splitlines()
    assert lines[0] == "x,t"
    assert lines[1:] == ["1,20"] * 4 + ["1,21"] * 3 + ["0,21"], "raw units, and a slow channel keeps its value"
    with (out / "labels.csv").open(newline="") as file:
        sheet = list(csv.DictReader(file))
    assert [row["label"] for row in sheet] == ["", ""]
    (out / "labels.csv").write_text(
        "\n".join(["record,label", *(f"{row['record']},high" for row in sheet)]) + "\n", encoding="utf-8"
    )
    assert import_labels(labelled, out / "labels.csv") == (2, 0)


def test_nothing_is_written_over(labelled: Workspace, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("x")
    with pytest.raises(UsageError, match="it has files already"):
        write_windows(labelled, tmp_path)
    assert write_windows(labelled, tmp_path / "none", device="another") == ([], {})
    assert not (tmp_path / "none").exists()


def test_without_its_bundle_nothing_is_written(labelled: Workspace, tmp_path: Path) -> None:
    (labelled.bundles / "tiny.elb").unlink()
    out = call("labels", "windows", tmp_path / "look", "--workspace", labelled.root)
    assert "left out 2: bundle" in out
    assert "not among the 0 files" in out
    assert "copy the bundle file there" in out
    assert "no raw windows yet" not in out
    assert "fill in" not in out
    assert not (tmp_path / "look").exists()


def planted(ws: Workspace, device: str, **how: Any) -> None:
    """A record of window 20 and its frames as another device may send them: `label`, and fields of the window."""
    records = samples.records(1, 2, device=device)
    header = replace(records.header, bundle=how.pop("bundle", scaled()[1].digest))
    labels = (how.pop("label", 0),) * 2
    fields: dict[str, Any] = {"names": ("x", "t"), "n_values": (8, 2), **how}
    fields["values"] = array("f", [1.5] * sum(fields["n_values"]))
    pending = Pending()
    for leaf, one in (
        ("rec", replace(records, header=header, labels=labels)),
        ("raw", replace(window(5, 20), header=header, **fields)),
    ):
        pending.add(topics.up(SITE, device, leaf, STREAM), one.to_bytes(), now_ms=7)
    commit = pending.take()
    assert "quarantine" not in commit.tables
    append(ws.tables, commit.tables)


MISFITS: dict[str, tuple[dict[str, Any], str]] = {
    "channel": ({"names": ("x", "q")}, "it has no channel 'q'"),
    "few": ({"n_values": (8, 1)}, "channel t has 1 values, want 2"),
    "many": ({"n_values": (9, 2)}, "channel x has 9 values, want 8"),
    "label": ({"label": 3}, "label 3, it has "),
    "bundle": ({"bundle": "ab" * 32}, f"bundle {'ab' * 32}: not among the 1 files"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_window_that_does_not_fit_its_bundle_keeps_nobody_from_the_others(
    labelled: Workspace, tmp_path: Path, name: str
) -> None:
    how, why = MISFITS[name]
    planted(labelled, "a-bad-one", **how)  # its name comes first
    written, left_out = write_windows(labelled, tmp_path / "look")
    assert [one.record for one in written] == [f"{DEVICE}:{EPOCH}:2", f"{DEVICE}:{EPOCH}:3"]
    assert sorted(path.name for path in (tmp_path / "look").iterdir()) == sorted(
        ["labels.csv", *(one.file for one in written)]
    )
    assert list(left_out.values()) == [1]
    assert why in next(iter(left_out))


def test_what_is_left_out_is_told_in_few_lines(labelled: Workspace, tmp_path: Path) -> None:
    for number in range(12):
        planted(labelled, f"bad-{number}", names=("x", "q"))
    out = call("labels", "windows", tmp_path / "look", "--workspace", labelled.root)
    assert out.count("left out 1: device bad-") == 10
    assert "left out 12 in all, for 12 reasons" in out
    assert "fill in the labels" in out


def test_windows_are_written_one_at_a_time(ws: Workspace, tmp_path: Path) -> None:
    """As Python's numbers all of them were in memory at once: 2.8 MiB a window of the longest kind."""
    many, frames = 6, 4096
    names = tuple(f"c{i}" for i in range(16))
    program = replace(
        PROGRAM, window_frames=frames, hop_frames=frames,
        channels=tuple(Channel(name=name, unit="m") for name in names),
    )  # fmt: skip
    data = packed_bundle(1, files=members() | {"program.json": program.to_bytes()})
    (ws.bundles / "long.elb").write_bytes(data)
    for number in range(many):
        planted(ws, f"d-{number}", bundle=unpack(data).digest, names=names, n_values=(frames,) * 16)
    tracemalloc.start()
    try:
        written, _ = write_windows(ws, tmp_path / "look")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(written) == many
    assert most < 10 << 20, "some 6 MiB, and 2 more for each window that is kept as Python's numbers"


def test_the_command_says_what_to_do_next(labelled: Workspace, tmp_path: Path) -> None:
    out = call("labels", "windows", tmp_path / "look", "--workspace", labelled.root)
    assert f"{DEVICE}:{EPOCH}:2  {STREAM} window 20, kept as uncertain" in out
    assert "cloud-trainer labels import" in out
    none = call("labels", "windows", tmp_path / "none", "--workspace", labelled.root, "--device", "x")
    assert "only where its own device.toml allows it" in none
