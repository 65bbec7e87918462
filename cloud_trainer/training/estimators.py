"""The estimators. One rule: a new one is a row in `MAKERS`; parameters are scikit-learn's own words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cloud_trainer.section import did_you_mean
from edge_runtime.errors import UsageError


def _logistic(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000, random_state=seed)


def _forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=100, n_jobs=-1, random_state=seed)


def _hist_gradient_boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=seed)


def _mlp(seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(hidden_layer_sizes=(64,), alpha=1e-3, early_stopping=True, random_state=seed)


MAKERS: dict[str, tuple[Callable[[int], Any], bool]] = {
    "logistic": (_logistic, True),
    "forest": (_forest, False),
    "hist_gradient_boosting": (_hist_gradient_boosting, False),
    "mlp": (_mlp, True),
}
"""Name -> (maker from a seed, whether features are scaled first)."""


def make(name: str, params: Mapping[str, object], *, seed: int) -> Any:
    """An estimator that is not fitted; scaled ones are a pipeline of StandardScaler and the estimator.

    Raises:
        UsageError: It has no such parameter.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    maker, is_scaled = MAKERS[name]
    estimator = maker(seed)
    known = estimator.get_params()
    for key in params:
        if key not in known:
            raise UsageError(
                f"train.{name}.{key}: there is no such parameter{did_you_mean(key, known)}",
                hint=f"it has: {', '.join(sorted(known))}",
            )
    estimator.set_params(**{key: tuple(v) if isinstance(v, list) else v for key, v in params.items()})
    return make_pipeline(StandardScaler(), estimator) if is_scaled else estimator


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
    return tuple(str(item.message).splitlines()[0] for item in caught)
