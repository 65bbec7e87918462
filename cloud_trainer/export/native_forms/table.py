"""Which estimators have a native form. One rule: one table by class; what is not in it is refused before training.

A subclass is another class: it may answer otherwise.
"""

from __future__ import annotations

from typing import Any, Final

from cloud_trainer.export.native_forms import boosting, ends, forests, from_lightgbm, from_xgboost, linear, meta, others
from cloud_trainer.export.native_forms.form import SCALERS, Form, Source, is_rounding
from cloud_trainer.export.steps import Builder, Model, Span
from cloud_trainer.task import task_of
from edge_runtime.errors import ContractError

_FAMILIES: Final = (
    ("sklearn", (linear, forests, boosting, others, meta)),
    ("lightgbm", (from_lightgbm,)),
    ("xgboost", (from_xgboost,)),
)
FORMS: Final[dict[tuple[str, str], Form]] = {
    (package, name): form
    for package, families in _FAMILIES
    for family in families
    for name, form in family.FORMS.items()
}
"""(package, class) -> form."""

ROUNDED: Final = ("HistGradientBoosting", "LGBM")
"""Trees whose step rounds what it reads to float32, where the trainer compares in double."""
INSTEAD: Final = {
    "AdaBoostRegressor": "GradientBoostingRegressor",
    "BaggingClassifier": "RandomForestClassifier",
    "BaggingRegressor": "RandomForestRegressor",
    "BernoulliNB": "GaussianNB",
    "DBSCAN": "KMeans",
    "GaussianProcessClassifier": "MLPClassifier",
    "GaussianProcessRegressor": "MLPRegressor",
    "KNeighborsClassifier": "RandomForestClassifier",
    "KNeighborsRegressor": "RandomForestRegressor",
    "LocalOutlierFactor": "IsolationForest",
    "MultinomialNB": "GaussianNB",
    "NuSVC": "LinearSVC or MLPClassifier",
    "OneClassSVM": "IsolationForest",
    "QuadraticDiscriminantAnalysis": "LinearDiscriminantAnalysis or GaussianNB",
    "StackingClassifier": "VotingClassifier",
    "StackingRegressor": "VotingRegressor",
    "SVC": "LinearSVC or MLPClassifier",
    "SVR": "LinearSVR or MLPRegressor",
}
"""What can be used in place of estimators that are often asked for."""

HINT: Final = "use an estimator of cloud_trainer.export.native_forms"


def model_of(estimator: Any) -> Model:
    """The native form of a fitted estimator.

    Classifiers answer with a score a class, `predict_proba` where they have it; regressors with their values;
    KMeans with minus the distances; IsolationForest with [score, decision].

    Raises:
        ContractError: It has no native form; says what can be used instead.
    """
    check_exportable(estimator)
    b = Builder(int(estimator.n_features_in_))
    out = scores(estimator, Source(span=b.features), b)
    return b.model(out, takes_nan=takes_nan(estimator))


def native_form(estimator: Any) -> Model | None:
    """The form that a bundle holds, with one score a label or value; None where the table has none.

    Of an outlier detector these are [decision, -decision], for "normal" and "outlier".

    Raises:
        ContractError: It is in the table, but this one is outside the format.
    """
    if why_not(estimator) is not None:
        return None
    b = Builder(int(estimator.n_features_in_))
    out = scores(estimator, Source(span=b.features), b)
    if task_of(estimator) == "outliers":
        out = ends.either_side(b, Span(out.at + 1, 1))
    return b.model(out, takes_nan=takes_nan(estimator))


def check_exportable(estimator: Any) -> None:
    """Say before training whether what it makes can leave.

    Raises:
        ContractError: It has no native form; names the estimator and what can be used instead.
    """
    why = why_not(estimator)
    if why:
        message, _, hint = why.rpartition("; ")
        raise ContractError(message or why, hint=hint if message else HINT)


def why_not(estimator: Any) -> str | None:
    """Why this estimator, fitted or not, has no native form, with what to do behind "; "; None: it has one."""
    front, model = _parts(estimator)
    for i, one in enumerate(front):
        if is_rounding(one) and i == len(front) - 1 and type(model).__name__.startswith(ROUNDED):
            continue
        if type(one).__name__ not in (*SCALERS, "PCA"):
            return f"{type(one).__name__} before a model has no export; use {', '.join(SCALERS)} or PCA"
    name = type(model).__name__
    form = _form(model)
    if form is None:
        return f"{name} has no export; use {INSTEAD[name]}" if name in INSTEAD else f"{name} has no export; {HINT}"
    why = form.why_not(model)
    return why if why is None or " has no export" in why else f"{name}: {why}"


def scores(estimator: Any, source: Source, b: Builder) -> Span:
    """Steps to its scores."""
    model, source = _behind(estimator, source, b)
    return _known(model).scores(model, source, b)


def decision(estimator: Any, source: Source, b: Builder) -> Span | None:
    """Steps to its `decision_function`; None: it has none."""
    model, source = _behind(estimator, source, b)
    form = _known(model)
    if form.decision is None or not hasattr(model, "decision_function"):  # LightGBM has it of late
        return None
    return form.decision(model, source, b)


def takes_nan(estimator: Any) -> bool:
    """Whether the trainer answers rows with missing values."""
    from sklearn.utils import get_tags

    front, model = _parts(estimator)
    return all(get_tags(one).input_tags.allow_nan for one in (*front, model))


def _parts(estimator: Any) -> tuple[list[Any], Any]:
    """(what stands before the model, the model), pipelines within pipelines and frozen ones opened."""
    name = type(estimator).__name__
    if name == "Pipeline":
        steps = [one for _, one in estimator.steps if one not in (None, "passthrough")]
        *front, last = steps
        deeper, model = _parts(last)
        return front + deeper, model
    if name == "FrozenEstimator":
        return _parts(estimator.estimator)
    return [], estimator


def _form(model: Any) -> Form | None:
    return FORMS.get((type(model).__module__.partition(".")[0], type(model).__name__))


def _known(model: Any) -> Form:
    form = _form(model)
    if form is None:
        raise ContractError(f"{type(model).__name__} has no export", hint=HINT)
    return form


def _behind(estimator: Any, source: Source, b: Builder) -> tuple[Any, Source]:
    """The model, and what it reads."""
    front, model = _parts(estimator)
    for one in front:
        if type(one).__name__ == "PCA":
            source = Source(span=linear.pca(one, source, b))
        elif not is_rounding(one):  # which a step of trees does by itself
            source = Source(span=source.span, scalings=(*source.scalings, SCALERS[type(one).__name__](one)))
    return model, source
