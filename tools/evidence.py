"""The evidence of every estimator on public and outside data: `python -m tools.evidence` writes docs/evidence.md.

It takes half an hour, and EDGELOOP_DATA, the folder of the outside sets.

Each is exported as a bundle is, with no bundle written: every form that leaves is asked beside the trainer.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from sklearn import datasets
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

import cloud_trainer.training.estimators as zoo
from cloud_trainer.estimators import ESTIMATORS
from cloud_trainer.export.models import Models, make_models
from cloud_trainer.task import SIDES, Task
from cloud_trainer.training import Run
from tests.flows.published import PROJECTS
from tools import outside
from tools.outside import LIFE, MILLING, MOTION, Sides

PATH: Final = Path(__file__).resolve().parents[1] / "docs/evidence.md"
SETS: Final[Mapping[Task, tuple[str, ...]]] = {
    "labels": ("breast cancer", "digits", MILLING, MOTION),
    "values": ("diabetes", LIFE),
    "outliers": ("breast cancer", MILLING),
    "clusters": ("digits", MOTION),
}
TWO_VALUES: Final = ("linear", "ridge", "lasso", "elastic_net", "tree", "forest", "extra_trees", "mlp", "xgboost")
VARIANTS: Final[tuple[tuple[str, Mapping[str, object]], ...]] = (
    ("forest", {"scaler": "standard"}),
    ("forest", {"scaler": "min_max"}),
    ("extra_trees", {"scaler": "robust"}),
    ("hist_gradient_boosting", {"scaler": "standard"}),
    ("forest", {"pca": 10}),
    ("hist_gradient_boosting", {"pca": 10}),
    ("lightgbm", {"pca": 10}),
    ("logistic", {"pca": 10}),
    ("calibrated", {"of": "forest", "method": "isotonic", "cv": 2}),
    ("calibrated", {"of": "lightgbm", "cv": 2}),
    ("one_vs_rest", {"of": "tree"}),
    ("voting", {"of": ["forest", "tree"], "voting": "hard"}),
    ("voting", {"of": ["lightgbm", "xgboost"]}),
)
QUICK: Final[Mapping[str, Mapping[str, object]]] = {
    "calibrated": {"cv": 2},
    "hist_gradient_boosting": {"max_iter": 30},
    **{
        name: {"n_estimators": 30}
        for name in (
            "forest",
            "extra_trees",
            "gradient_boosting",
            "adaboost",
            "isolation_forest",
            "lightgbm",
            "xgboost",
        )
    },
}
"""So that the table is made in minutes: the trainer answers one row in up to 0.1 ms a tree."""
HEAD: Final = ("set", "estimator", "form", "rows", "labels differ", "on the boundary", "largest difference", "bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One estimator on one set."""

    where: str
    name: str
    task: Task
    params: Mapping[str, object] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """As in the table."""
        own = ", ".join(f"{key}={value}".replace("'", "") for key, value in self.params.items())
        return self.name + (f" ({own})" if own else "")


def cases() -> Iterator[Case]:
    """Every estimator on every set of its task, then variants."""
    for name, kind in ESTIMATORS.items():
        for task in kind.classes:
            for where in SETS[task]:
                yield Case(where=where, name=name, task=task)
            if task == "values" and name in TWO_VALUES:
                yield Case(where="diabetes, 2 values", name=name, task=task)
    for name, params in VARIANTS:
        yield Case(where="breast cancer", name=name, task="labels", params=params)


def sides_of(case: Case) -> Sides:
    """Every second row of a public set, the project's own split of an outside one."""
    if case.where in PROJECTS:
        return outside.sides_of(case.where, case.task)
    loaders = {"digits": datasets.load_digits, "breast cancer": datasets.load_breast_cancer}
    x, y = loaders.get(case.where, datasets.load_diabetes)(return_X_y=True)
    if case.where == "diabetes, 2 values":
        y = np.stack([y, 3 - y / 2], axis=1)
    x = x.astype(np.float32)
    return Sides(x=x[::2], y=y[::2], x_test=x[1::2], y_test=y[1::2])


def run_of(case: Case, *, most: int = 2000) -> Run:
    """Trained on one side, to be asked about `most` rows of the other."""
    sides = sides_of(case)
    x, y = sides.x, sides.y
    given = outside.params_of(case.where, case.name) if case.where in PROJECTS else case.params
    estimator = zoo.make(case.name, {**QUICK.get(case.name, {}), **given}, seed=1, task=case.task)
    zoo.fit(case.name, estimator, x, y)
    n = {"outliers": 2, "clusters": 8}.get(case.task, int(y.max()) + 1 if case.task == "labels" else y[0].size)
    labels = SIDES if case.task == "outliers" else tuple(f"{case.task[:-1]}-{i}" for i in range(n))
    return Run(
        run_id="evidence",
        name=case.name,
        estimator=estimator,
        labels=labels,
        program=cast("Any", None),
        dataset=cast("Any", None),
        x_train=x,
        y_train=y,
        x_test=np.ascontiguousarray(sides.x_test[:most]),
        y_test=sides.y_test[:most],
        test_groups=(),
        metrics={},
        confusion=(),
        params=case.params,
        seed=1,
    )


def measured(case: Case, *, most: int = 2000) -> tuple[Run, Models]:
    """Its forms, proven.

    Raises:
        ContractError: One decides otherwise than the trainer.
    """
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = run_of(case, most=most)
        return run, make_models(run)


def lines_of(case: Case, models: Models) -> Iterator[tuple[str, ...]]:
    """One line a form: rows that stand on a class boundary are counted apart."""
    for form in dict.fromkeys(row["form"] for row in models.evidence):
        rows = [row for row in models.evidence if row["form"] == form]
        near = [row for row in rows if row["kind"] == "boundary"]
        clear = [row for row in rows if row["kind"] != "boundary"]
        is_values = "labels_differ" not in rows[0]
        yield (
            case.where,
            case.title,
            form + (f" {'float32' if models.precision == 'int8' else models.precision}" if form == "native" else ""),
            str(sum(row["rows"] for row in clear)),
            "values" if is_values else str(sum(row["labels_differ"] for row in clear)),
            f"{sum(row['labels_differ'] for row in near)} of {sum(row['rows'] for row in near)}" if near else "",
            f"{max(row['max_score_diff'] for row in rows):.1e}",
            str(models.sizes[MEMBERS[form]]),
        )


MEMBERS: Final = {
    "onnx": "model.onnx",
    "native": "model.erm",
    "onnx int8": "model.int8.onnx",
    "native int8": "model.int8.erm",
}
INTRO: Final = """# Evidence

What leaves decides as what was trained. Every estimator that a project can name, trained on every second row of a
public set of scikit-learn, is exported as for a bundle, and each form is asked about the other rows beside the
trainer, who is asked one row at a time in float64: test rows; of trees, rows on and one float beside split
thresholds, and rows with tied votes; of other models, rows beside a class boundary; rows with missing, denormal and
huge values. Rows that stand *on* a boundary, where the trainer's own margin is rounding, are counted apart: a label
may differ there only where that margin is at most 1e-5 of the score range. int8 may differ in 0.5 % of labels and
lose 0.5 points; what does not keep to that is not shipped, and its row stands here all the same.

`python -m tools.evidence` writes this page; `cloud-trainer inspect BUNDLE` prints the table of any bundle.

Outside sets are those of projects in tests/flows: trained, split and asked as those say, on up to 2,000 rows of the
test side. Their figures, asked for where `EDGELOOP_DATA` names the folder (tests/flows/test_published.py, test_har.py):

"""


def text(figures: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """The page."""
    rule = ["---"] * 3 + ["---:"] * (len(HEAD) - 3)
    rows = [f"| {' | '.join(line)} |" for line in [HEAD, rule, *lines]]
    return INTRO + "\n".join([*figures, "", *rows]) + "\n"


def main() -> None:
    """Write the page."""
    figures, lines = [], []
    for case in cases():
        print(f"{case.where}: {case.title}", flush=True)
        run, models = measured(case)
        lines += list(lines_of(case, models))
        if outside.BY.get(case.where) == case.name:
            figures.append(outside.figure(case.where, run, models))
            print(figures[-1], flush=True)
    PATH.write_text(text(figures, lines), encoding="utf-8")


if __name__ == "__main__":
    main()
