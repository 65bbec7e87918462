"""Every estimator that a project can name leaves as it was trained: in small here, in full in docs/evidence.md."""

from __future__ import annotations

import pytest

import cloud_trainer.training.estimators as zoo
from cloud_trainer.estimators import ESTIMATORS
from cloud_trainer.export import rows
from edge_runtime.errors import ContractError
from tests.flows.published import PROJECTS
from tools.evidence import HEAD, INTRO, PATH, Case, cases, lines_of, measured

SMALL = [
    case
    for case in cases()
    if case.where not in ("digits", *PROJECTS) or (case.where, case.task) == ("digits", "clusters")
]


@pytest.mark.parametrize("case", SMALL, ids=lambda case: f"{case.title}, {case.where}")
def test_every_form_decides_as_the_trainer(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_NEAR", 12)
    monkeypatch.setattr(rows, "MAX_EXTREME", 12)
    _, models = measured(case, most=60)
    assert models.engine == "native"
    assert {row["form"] for row in models.evidence} >= {"onnx", "native"}
    assert {row["kind"] for row in models.evidence} >= {"test", "extreme"}
    for line in lines_of(case, models):
        if "int8" not in line[2]:
            assert line[4] in ("0", "values")


@pytest.mark.planted
@pytest.mark.parametrize("name", zoo.DOUBLES)
def test_planted_pca_that_is_not_rounded_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees that compare in double tell values apart that are one float32."""
    monkeypatch.setattr(zoo, "DOUBLES", ())
    with pytest.raises(ContractError, match=r"boundary rows: . of 300 labels differ"):
        measured(Case(where="breast cancer", name=name, task="labels", params={"pca": 10}), most=60)


def written() -> list[list[str]]:
    table = [line for line in PATH.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_page_has_every_case_and_no_label_that_differs() -> None:
    assert PATH.read_text(encoding="utf-8").startswith(INTRO)
    head, _, *lines = written()
    assert tuple(head) == HEAD
    assert {(line[0], line[1]) for line in lines} == {(case.where, case.title) for case in cases()}
    assert {line[1].partition(" ")[0] for line in lines} == set(ESTIMATORS)
    for line in lines:
        assert line[4] in ("0", "values") or "int8" in line[2], line
