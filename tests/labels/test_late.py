"""Labels that come late: kept, joined by identity, and what they say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cloud_trainer.drift import DRIFTED, judge, retrain_request
from cloud_trainer.drift.judge import DRAWN, RecordKey
from cloud_trainer.drift.loss import Accuracy
from cloud_trainer.drift.show import show
from cloud_trainer.ingest.pending import Pending
from cloud_trainer.ingest.store import append
from cloud_trainer.labels import import_labels, of_bundles
from cloud_trainer.project import write_template
from cloud_trainer.workspace import Workspace
from edge_runtime.contract import topics
from edge_runtime.errors import ContractError
from tests.cli.app import call
from tests.drift.test_judge import SITE, STREAM, Fleet
from tests.drift.world import PERIOD_MS, START_MS
from tests.ingest import samples

N = 400


class Field:
    """The fleet of tests/drift with sampled records of d1: unsure ones are kept twice as often."""

    def __init__(self, root: Path, *, tested: float | None = None) -> None:
        self.ws = Workspace(root)
        self.fleet = Fleet(self.ws, extra={} if tested is None else {"tested": {"accuracy": [tested, 0.9, 1.0]}})
        (self.ws.bundles / "a.elb").write_bytes(self.fleet.file)
        rng = np.random.default_rng(6)
        score = rng.uniform(0.5, 1.0, N)
        self.right = rng.random(N) < score
        self.names = samples_labels(self.ws, self.fleet.digest)
        batch = samples.records(1, N, device="d1")
        scores = np.stack([score, 1 - score], axis=1).astype(np.float32)
        kept = np.where(score < 0.75, 1.0, 0.5).astype(np.float32)
        one = replace(
            batch, header=replace(batch.header, bundle=self.fleet.digest), labels=(0,) * N, votes=(0,) * N,
            times_ms=tuple(START_MS + 20 * PERIOD_MS + n for n in range(N)),
            scores=type(batch.scores)("f", scores.ravel().tolist()),
            probabilities=type(batch.scores)("f", kept.tolist()),
        )  # fmt: skip
        pending = Pending()
        pending.add(topics.up(SITE, "d1", "rec", STREAM), one.to_bytes(), now_ms=7)
        append(self.ws.tables, pending.take().tables)
        self.truth = float((self.right / kept).sum() / (1 / kept).sum())

    def sheet(self, path: Path, records: list[RecordKey], *, wrong: bool = False) -> Path:
        """Labels as they are, or none of them as the bundle decided."""
        lines = [f"{d}:{e}:{s},{self.names[0 if self.right[s - 1] and not wrong else 1]}" for d, e, s in records]
        path.write_text("\n".join(["record,label", *lines]) + "\n", encoding="utf-8")
        return path


def samples_labels(ws: Workspace, digest: str) -> tuple[str, ...]:
    from cloud_trainer.audit import find_bundle

    return find_bundle(ws, digest)[1].manifest.labels


def test_the_labels_of_a_request_tell_the_accuracy_of_all_windows(tmp_path: Path) -> None:
    field = Field(tmp_path / "ws")
    [sick] = [v for v in judge(field.ws) if v.device == "d1" and v.verdict == DRIFTED]
    request = retrain_request(field.ws, sick, limit=200)
    assert (len(request.records), request.chances.count(1.0)) == (200, round(200 * (1 - DRAWN)))
    assert retrain_request(field.ws, sick, limit=200).records == request.records
    assert import_labels(field.ws, field.sheet(tmp_path / "l.csv", list(request.records))) == (200, 0)
    [found] = of_bundles(field.ws)
    assert found.accuracy
    assert found.accuracy.low < field.truth < found.accuracy.high
    asked = np.mean([field.right[seq - 1] for *_, seq in request.records])
    assert abs(found.accuracy.value - field.truth) < abs(asked - field.truth) / 2
    assert (found.bundle, found.random, found.has_moved) == (field.fleet.digest, 40, False)


def test_errors_that_the_scores_do_not_explain_are_concept_drift_and_said(tmp_path: Path) -> None:
    field = Field(tmp_path / "ws")
    some = [("d1", samples.EPOCH, seq) for seq in range(1, 61)]
    sheet = field.sheet(tmp_path / "l.csv", some, wrong=True)
    told = call("labels", "import", sheet, "-w", field.ws.root)
    assert f"{sheet}: 60 labels\n" in told
    assert "accuracy 0.0%" in told
    assert "none of them was drawn at random" in told
    assert "concept drift: it errs more often than its scores say" in told
    import_labels(field.ws, field.sheet(tmp_path / "again.csv", some))  # the last label given counts
    assert not of_bundles(field.ws)[0].has_moved
    assert "concept drift" not in call("labels", "show", "-w", field.ws.root)


def test_a_label_may_come_before_its_record_and_one_that_nobody_knows_is_wrong(tmp_path: Path) -> None:
    field = Field(tmp_path / "ws")
    sheet = tmp_path / "l.csv"
    sheet.write_text(f"record,label\nd1:{samples.EPOCH}:1,on fire\nd9:1:1,{field.names[0]}\n", encoding="utf-8")
    told = call("labels", "import", sheet, "-w", field.ws.root)
    assert "2 labels, 1 of records that have not arrived" in told
    assert "labels that it does not know, counted as wrong: on fire" in told


def test_a_bad_line_stores_nothing(tmp_path: Path) -> None:
    field = Field(tmp_path / "ws")
    sheet = tmp_path / "l.csv"
    sheet.write_text(f"record,label\nd1:{samples.EPOCH}:1,{field.names[0]}\nd1:{samples.EPOCH}:2,\n", encoding="utf-8")
    with pytest.raises(ContractError, match="line 3"):
        import_labels(field.ws, sheet)
    assert of_bundles(field.ws) == []
    assert call("labels", "show", "-w", field.ws.root) == "no labels of records yet\n"


@pytest.mark.parametrize(
    ("text", "said"), [("a,b\n", "no column 'record'"), ("record,label\n", "no line below its head")]
)
def test_a_sheet_without_lines_is_told_by_its_head(text: str, said: str, tmp_path: Path) -> None:
    sheet = tmp_path / "l.csv"
    sheet.write_text(text, encoding="utf-8")
    with pytest.raises(ContractError, match=said) as why:
        import_labels(Workspace(tmp_path / "ws"), sheet)
    assert "none" not in why.value.hint


def test_a_labelled_loss_asks_for_the_records_that_are_not_labelled_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It errs far more than its scores say; what has a label is not asked for again, and then nothing is left."""
    monkeypatch.chdir(tmp_path)
    field = Field(tmp_path / "ws")
    some = [("d1", samples.EPOCH, seq) for seq in range(1, 301)]
    import_labels(field.ws, field.sheet(tmp_path / "l.csv", some, wrong=True))
    (tmp_path / "edgeloop.toml").write_text("[retrain]\n")  # of another project: what is named counts
    command = ("drift", "--request", "-w", field.ws.root, "--project", template(tmp_path / "mine.toml"))
    told = call(*command)
    assert "retrain: labelled loss 7" in told
    assert "% by the scores of the same records, 0.0% by labels) is above 5.0%" in told
    assert "asked for labels of 100 records" in told
    call("report", "-w", field.ws.root, "--project", tmp_path / "mine.toml", "--out", tmp_path / "r.html")
    assert "<p>retrain: labelled loss 7" in (tmp_path / "r.html").read_text(encoding="utf-8")
    [(why, named)] = field.ws.tables.sql("select why, records from retrain_requests").fetchall()
    assert why.startswith("labelled loss")
    assert not {f"{d}:{e}:{s}" for d, e, s in some} & set(json.loads(named))
    rest = [("d1", samples.EPOCH, seq) for seq in range(301, N + 1)]
    import_labels(field.ws, field.sheet(tmp_path / "m.csv", rest, wrong=True))
    assert "every record of it is labelled" in call(*command)


def template(path: Path) -> Path:
    write_template(path)
    return path


def test_a_loss_is_measured_by_the_test_groups_where_labels_were_drawn_at_random(tmp_path: Path) -> None:
    field = Field(tmp_path / "ws", tested=0.99)
    [sick] = [v for v in judge(field.ws) if v.device == "d1" and v.verdict == DRIFTED]
    assert sick.before == Accuracy(value=0.99, low=0.9, high=1.0, records=0)  # no record is from before
    assert "expected accuracy 99.0% (its test groups) -> " in show(sick)
    request = retrain_request(field.ws, sick, limit=200)
    import_labels(field.ws, field.sheet(tmp_path / "l.csv", list(request.records)))
    [found] = of_bundles(field.ws)
    assert (found.reference, found.reference_of) == (0.99, "on its test groups")
    assert found.accuracy
    assert found.loss == 0.99 - found.accuracy.value
    assert "measured by 99.0% on its test groups" in call("labels", "show", "-w", field.ws.root)
