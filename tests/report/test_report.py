"""The report: what it says of a fleet, and that any text in it stays text."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cloud_trainer.drift import DRIFTED, STEADY, judge
from cloud_trainer.drift.loss import Accuracy, expected
from cloud_trainer.drift.verdict import WATCH, Verdict
from cloud_trainer.ingest.pending import Pending
from cloud_trainer.ingest.store import append
from cloud_trainer.report import Facts, gather, html, render
from cloud_trainer.report.facts import Latency, Loss, Mark, Moved, Share, Stand
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.contract.event import Event
from edge_runtime.errors import UsageError
from tests.cli.app import call
from tests.drift.test_judge import SITE, STREAM, Fleet
from tests.drift.world import PERIOD_MS, START_MS
from tests.ingest import samples
from tests.labels.test_late import Field

EVIL = "<script>alert('x')</script>\" onload='x' & é"
VOID = {"meta"}


class Seen(HTMLParser):
    """The elements of a page, their attributes, and the text in each kind."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: dict[str, list[str]] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while (last := self.open.pop()) != tag:  # what is closed by its parent's end
            assert last in {"html"}, f"<{last}> is open where </{tag}> stands"

    def handle_data(self, data: str) -> None:
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def stand(name: str, verdict: str = STEADY, site: str = "lab") -> Stand:
    said = Verdict(
        bundle="ab" * 32, device=name, stream="main", verdict=verdict, periods=4, n_windows=240, from_ms=START_MS,
        to_ms=START_MS + 4 * PERIOD_MS, onset_period=1 if verdict != STEADY else -1,
        alarm_period=2 if verdict == DRIFTED else -1, log_m=12.0, log_top=12.0, log_alarm=9.1, ongoing=True,
        evidence=({"feature": name, "named": True, "log_m": 12.0},) if verdict != STEADY else (),
        cause=name if verdict == DRIFTED else "",
    )  # fmt: skip
    return Stand(site=site, verdict=said, spans=[(START_MS, START_MS + 4 * PERIOD_MS, verdict)])


def facts(*stands: Stand, title: str = "fan 7") -> Facts:
    """A page with something in every place, all of it called like its first device."""
    worst = max((s.verdict for s in stands), key=lambda v: (STEADY, WATCH, DRIFTED).index(v.verdict))
    name, accuracy = worst.device, Accuracy(value=0.9, low=0.8, high=0.95, records=50)
    return Facts(
        title=title, bundle=worst.bundle, from_ms=START_MS, to_ms=START_MS + 4 * PERIOD_MS, alarm_periods=8760,
        verdict=replace(worst, device="", stream=""), course=[(START_MS + PERIOD_MS, 1.0)], stands=stands,
        moved=[Moved(name=name, where=name, streams=1, is_named=True, log_m=12.0, onset_ms=START_MS, shift=1.0,
                     mean=2.0, mean_before=1.0, bins=[(name, 0.5, 0.1), ("> 1", 0.5, 0.9)],
                     means=[(START_MS, 0.1), (START_MS + 9, None)])],
        marks=[Mark(lane="faults", time_ms=START_MS + 1, text=name)], advice=[name],
        expected=[Share(from_ms=START_MS, to_ms=START_MS + 9, accuracy=accuracy)],
        latencies=[Latency(where=name, decisions=3, p50=10, p99=20, most=30)],
        losses=[Loss(where=name, dropped=1, given_up=64, gaps=0, faults=2)],
    )  # fmt: skip


def test_the_verdict_stands_on_top_then_what_moved_by_how_much_and_since_when(tmp_path: Path) -> None:
    field = Field(tmp_path / "ws")
    page = render(gather(field.ws))
    seen = Seen(page)
    model = judge(field.ws)[0]
    assert seen.text["strong"] == [f"{DRIFTED}: {model.cause}"]
    said = " ".join(seen.text["p"])
    assert "1 of 2 streams named (e-BH at q = .05), since 2023-11-15 13:00 UTC (period 15)" in said
    assert "features: b; a steady fleet is accused at most once in 8760 periods" in said
    assert re.search(r"expected accuracy before not known, 7\d\.\d% since .*if the scores are calibrated", said)
    assert "what comes in is not as in training" in said
    assert re.search(r"mean \+[12]\.\d\d scales \(0\.00\d+ before, 2\.0\d+ since\)", said)
    assert page.index(DRIFTED) < page.index("What moved") < page.index("The fleet") < page.index("Timeline")
    pictures = [attrs["aria-label"] for attrs in seen.all("svg")]
    assert "shares of the bins of b: grey in the baseline, blue since the onset" in pictures
    assert "accuracy in time" in pictures


def test_a_page_needs_nothing_else_and_can_be_read_without_colours_and_eyes() -> None:
    page = render(facts(stand("d0"), stand("d1", WATCH), stand("d2", DRIFTED)))
    seen = Seen(page)
    assert not re.search(r"https?:|src=|@import|url\(|<script|<link", page)
    assert "prefers-color-scheme: dark" in page
    assert seen.all("html")[0]["lang"] == "en"
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in seen.all("svg"))
    assert all(head["scope"] == "col" for head in seen.all("th"))
    assert {"d0/main: steady", "d1/main: watch", "d2/main: drifted, d2"} <= set(seen.text["title"])
    assert seen.open == ["html"] or not seen.open


def test_hostile_names_stay_text() -> None:
    seen = Seen(render(facts(stand(EVIL, DRIFTED, site=EVIL), title=EVIL)))
    assert not [name for name, attrs in seen.tags if name == "script" or any(key.startswith("on") for key in attrs)]
    assert EVIL in seen.text["h3"]
    assert EVIL in seen.text["td"]


@pytest.mark.planted
def test_a_page_that_forgets_to_escape_would_run_a_hostile_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "escape", lambda text, quote=True: text)
    page = render(facts(stand(EVIL, DRIFTED)))
    assert "<script>alert" in page


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    Workspace(tmp_path / "ws")
    assert (
        call("report", "-w", tmp_path / "ws", "--out", out)
        == f"No model has reported yet: nothing to judge; written: {out}\n"
    )
    assert "No summary of a device is in the store" in Seen(out.read_text(encoding="utf-8")).text["p"][0]


def test_a_thousand_devices_are_all_on_the_map_and_the_worst_in_time() -> None:
    some = [stand(f"pump-{n}", DRIFTED if n < 5 else STEADY, site=f"plant-{n % 3}") for n in range(1000)]
    page = render(facts(*some))
    seen = Seen(page)
    said = seen.text["title"]
    assert sum(text.endswith("/main: steady") for text in said) == 995
    assert sum("/main: steady, 2023" in text for text in said) == 35
    assert "and 960 more with less evidence" in seen.text["p"]
    assert "1,000 streams: 5 drifted, 995 steady." in seen.text["p"]
    assert len(page) < 400_000


def test_a_report_of_an_earlier_time_judges_by_what_was_known_then(tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws")
    fleet = Fleet(ws)  # d1 moves at period 15
    (ws.bundles / "a.elb").write_bytes(fleet.file)
    out, command = tmp_path / "r.html", ("report", "-w", ws.root, "--bundle", fleet.digest[:8])
    assert call(*command, "--out", out) == f"fan 7: drifted; written: {out}\n"
    early = call(*command, "--out", out, "--since", "2023-11-15T00:00", "--until", "2023-11-15T13:00:00+00:00")
    assert early.startswith("fan 7: steady")
    said = " ".join(Seen(out.read_text(encoding="utf-8")).text["p"])
    assert "2023-11-15 00:00 to 2023-11-15 13:00 UTC" in said
    assert "2 streams in 15 periods" in said


def test_what_was_lost_and_when_is_told(tmp_path: Path) -> None:
    ws = Workspace(tmp_path / "ws")
    fleet = Fleet(ws)
    (ws.bundles / "a.elb").write_bytes(fleet.file)
    fields: list[tuple[str, dict[str, str | int]]] = [
        ("gap", {"dropped": "rec", "first_seq": 1, "last_seq": 64, "rows": 64}),
        ("gap", {"reason": "Lost", "window": 7}), ("fault", {"error": "Lost"}), ("swapped", {}),
    ]  # fmt: skip
    pending = Pending()
    for seq, (kind, more) in enumerate(fields, 900):
        event = Event(device="d1", epoch=5, seq=seq, stream="", time_ms=START_MS + PERIOD_MS, kind=kind, fields=more)
        pending.add(topics.up(SITE, "d1", "ev"), event.to_bytes(), now_ms=7)
    append(ws.tables, pending.take().tables)
    found = gather(ws)
    assert [(one.where, one.dropped, one.given_up, one.gaps, one.faults) for one in found.losses] == [
        ("d1", 0, 64, 1, 1)
    ]
    told = {(mark.lane, mark.text) for mark in found.marks}
    assert {("losses", "2 x gap: d1"), ("faults", "fault: d1"), ("bundles", "swapped: d1")} <= told
    assert ("alarms", "d1/main is named") in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "yesterday"), "--since yesterday: "),
        (("--bundle", "zz"), "bundle zz: 0 models with summaries begin so"),
    ],
)
def test_what_cannot_be_reported_is_refused(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    Workspace(tmp_path)
    with pytest.raises(UsageError, match=re.escape(said)):
        call("report", "-w", tmp_path, "--out", tmp_path / "r.html", *words)
    assert not (tmp_path / "r.html").exists()


def test_the_dots_of_accuracy_are_the_accuracy_that_a_verdict_expects(tmp_path: Path) -> None:
    """One device of three with most of the records: it counts at most twice its even share here, too."""
    ws = Workspace(tmp_path / "ws")
    fleet = Fleet(ws)
    (ws.bundles / "a.elb").write_bytes(fleet.file)
    pending, rows = Pending(), []
    for device, n, score in (("d0", 4, 0.75), ("d1", 40, 0.5), ("d2", 4, 1.0)):
        batch = samples.records(100, n, device=device)
        one = replace(
            batch, header=replace(batch.header, bundle=fleet.digest), labels=(0,) * n,
            times_ms=tuple(START_MS + PERIOD_MS for _ in range(n)),
            scores=type(batch.scores)("f", [score, 1 - score] * n),
        )  # fmt: skip
        pending.add(topics.up(SITE, device, "rec", STREAM), one.to_bytes(), now_ms=7)
        rows += [(0, (score, 1 - score), 0.5, device)] * n
    append(ws.tables, pending.take().tables)
    [share] = gather(ws).expected
    wanted = expected(rows)
    assert wanted
    assert math.isclose(share.accuracy.value, wanted.value)
    assert math.isclose(share.accuracy.low, wanted.low)
    assert share.accuracy.value > sum(scores[0] for _, scores, _, _ in rows) / len(rows)
