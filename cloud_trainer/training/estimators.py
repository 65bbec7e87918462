"""Estimators from their names. One rule: parameters are scikit-learn's own words, and three of ours.

Ours: `scaler` (what stands in front), `pca` (components behind it) and, of those that are made over others, `of`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from cloud_trainer.estimators import ESTIMATORS, able
from cloud_trainer.section import did_you_mean
from cloud_trainer.task import Task
from edge_runtime.errors import UsageError

SCALERS: Final[Mapping[str, str]] = {
    "standard": "sklearn.preprocessing.StandardScaler",
    "min_max": "sklearn.preprocessing.MinMaxScaler",
    "robust": "sklearn.preprocessing.RobustScaler",
    "none": "",
}
OURS: Final = ("scaler", "pca", "of")
DOUBLES: Final = ("hist_gradient_boosting", "lightgbm")
"""Trees that compare in double, where the forms that leave compare float32: behind a PCA they get it rounded."""


def make(name: str, params: Mapping[str, object], *, seed: int, task: Task = "labels") -> Any:
    """An estimator that is not fitted, with its scaler and PCA before it.

    Raises:
        UsageError: It has no such parameter, cannot be asked this, or its package is not installed.
    """
    kind = ESTIMATORS[name]
    if task not in kind.classes:
        raise UsageError(
            f"train.estimators: {name!r} has no form that predicts {task}", hint=f"use {', '.join(able(task))}"
        )
    members = _members(name, params.get("of", kind.of), seed=seed, task=task) if kind.of else []
    if params.get("pca"):
        members = [(each, _piped([*_rounded(each), member])) for each, member in members]
    over = {"estimators": members} if len(kind.of) > 1 else {"estimator": members[0][1]} if members else {}
    estimator = _class(name, kind.classes[task], kind.extra)(**over)
    known = estimator.get_params(deep=False)
    defaults = {**kind.settings, "random_state": seed}
    # LightGBM takes words that it does not list, so of other packages' classes each setting is set.
    estimator.set_params(**{key: value for key, value in defaults.items() if key in known or kind.extra})
    ours = OURS if members else OURS[:2]
    _check_known(name, params, [*known, *ours])
    own = {key: tuple(v) if isinstance(v, list) else v for key, v in params.items() if key not in ours}
    front = _front(name, params, default="standard" if kind.is_scaled else "none", seed=seed)
    return _piped([*front, *(_rounded(name) if params.get("pca") else []), estimator.set_params(**own)])


def _check_known(name: str, params: Mapping[str, object], known: list[str]) -> None:
    for key in params:
        if key not in known:
            raise UsageError(
                f"train.{name}.{key}: there is no such parameter{did_you_mean(key, known)}",
                hint=f"it has: {', '.join(sorted(known))}",
            )


def _class(name: str, place: str, extra: str = "") -> Callable[..., Any]:
    module, _, what = place.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), what)
    except ImportError as why:
        raise UsageError(
            f"train.estimators: {name!r} is of the package {module}, which is not installed: {why}",
            hint=f"pip install 'edgeloop[{extra or 'cloud'}]'",
        ) from why
    return found


def _members(name: str, of: object, *, seed: int, task: Task) -> list[tuple[str, Any]]:
    names = [of] if isinstance(of, str) else list(of) if isinstance(of, list | tuple) else [of]
    for each in names:
        if not isinstance(each, str) or each not in able(task) or ESTIMATORS[each].of:
            plain = ", ".join(other for other in able(task) if not ESTIMATORS[other].of)
            raise UsageError(f"train.{name}.of: {each!r} is none of those that predict {task}", hint=f"use {plain}")
    return [(each, make(each, {}, seed=seed, task=task)) for each in dict.fromkeys(names)]


def _front(name: str, params: Mapping[str, object], *, default: str, seed: int) -> list[Any]:
    scaler, pca = params.get("scaler", default), params.get("pca", 0)
    if scaler not in SCALERS:
        raise UsageError(f"train.{name}.scaler: want one of {', '.join(SCALERS)}, got {scaler!r}")
    if not isinstance(pca, int) or isinstance(pca, bool) or pca < 0:
        raise UsageError(f"train.{name}.pca: want the number of components, got {pca!r}", hint="0: none")
    front = [_class(name, SCALERS[str(scaler)])()] if SCALERS[str(scaler)] else []
    return [*front, _class(name, "sklearn.decomposition.PCA")(pca, random_state=seed)] if pca else front


def _rounded(name: str) -> list[Any]:
    from sklearn.preprocessing import FunctionTransformer

    from cloud_trainer.export.native_forms.form import as_float32

    return [FunctionTransformer(as_float32)] if name in DOUBLES else []


def _piped(steps: list[Any]) -> Any:
    from sklearn.pipeline import make_pipeline

    return steps[0] if len(steps) == 1 else make_pipeline(*steps)


def settings(estimator: Any) -> dict[str, object]:
    """Every parameter of the estimator, defaults too: those change between versions of scikit-learn."""
    last = getattr(estimator, "steps", [("", estimator)])[-1][1]
    return dict(last.get_params(deep=False))


def fit(name: str, estimator: Any, x: Any, y: Any) -> tuple[str, ...]:
    """Fit it on float64; gives what scikit-learn warned of, such as iterations that did not suffice.

    Raises:
        UsageError: A parameter's value is not allowed.
    """
    import warnings

    import numpy as np
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils._param_validation import InvalidParameterError

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        try:
            estimator.fit(x.astype(np.float64), y)
        except InvalidParameterError as why:
            raise UsageError(f"train.{name}: {why}", hint=f"mend [train.{name}] in the project file") from why
    # Several threads add trees in whatever order they finish: predicting on one gives the same bits each time.
    estimator.set_params(**{key: 1 for key in estimator.get_params() if key.rpartition("__")[2] == "n_jobs"})
    return tuple(str(item.message).splitlines()[0] for item in caught if issubclass(item.category, ConvergenceWarning))
