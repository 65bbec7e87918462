"""The estimators that a project can name, as plain data. One rule: a new one is a row; nothing is imported here.

Each is what the exporter has a form of; `training.estimators` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cloud_trainer.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One name of `[train] estimators`.

    Attributes:
        classes: Task -> "module.Class"; what is not here, it cannot be asked.
        is_scaled: Features are scaled before it, unless the project says otherwise.
        settings: Where its defaults are not scikit-learn's, of the parameters that the class has.
        of: The estimators that it is made over, where it is made over others; `of` in the project names others.
        extra: Of this project, that installs its package; "" for scikit-learn.
    """

    classes: Mapping[Task, str]
    is_scaled: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)
    of: tuple[str, ...] = ()
    extra: str = ""


def _both(place: str, classifier: str, regressor: str) -> Mapping[Task, str]:
    return {"labels": f"{place}.{classifier}", "values": f"{place}.{regressor}"}


_LINEAR, _ENSEMBLE = "sklearn.linear_model", "sklearn.ensemble"
_ALL_CORES: Final = {"n_jobs": -1}
ESTIMATORS: Final[Mapping[str, Kind]] = {
    "logistic": Kind(classes={"labels": f"{_LINEAR}.LogisticRegression"}, is_scaled=True, settings={"max_iter": 1000}),
    "linear_svc": Kind(classes={"labels": "sklearn.svm.LinearSVC"}, is_scaled=True),
    "linear": Kind(classes={"values": f"{_LINEAR}.LinearRegression"}, is_scaled=True),
    "ridge": Kind(classes=_both(_LINEAR, "RidgeClassifier", "Ridge"), is_scaled=True),
    "lasso": Kind(classes={"values": f"{_LINEAR}.Lasso"}, is_scaled=True),
    "elastic_net": Kind(classes={"values": f"{_LINEAR}.ElasticNet"}, is_scaled=True),
    "sgd": Kind(classes=_both(_LINEAR, "SGDClassifier", "SGDRegressor"), is_scaled=True),
    "naive_bayes": Kind(classes={"labels": "sklearn.naive_bayes.GaussianNB"}),
    "lda": Kind(classes={"labels": "sklearn.discriminant_analysis.LinearDiscriminantAnalysis"}),
    "tree": Kind(classes=_both("sklearn.tree", "DecisionTreeClassifier", "DecisionTreeRegressor")),
    "forest": Kind(classes=_both(_ENSEMBLE, "RandomForestClassifier", "RandomForestRegressor"), settings=_ALL_CORES),
    "extra_trees": Kind(classes=_both(_ENSEMBLE, "ExtraTreesClassifier", "ExtraTreesRegressor"), settings=_ALL_CORES),
    "gradient_boosting": Kind(classes=_both(_ENSEMBLE, "GradientBoostingClassifier", "GradientBoostingRegressor")),
    "hist_gradient_boosting": Kind(
        classes=_both(_ENSEMBLE, "HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
    ),
    "adaboost": Kind(classes={"labels": f"{_ENSEMBLE}.AdaBoostClassifier"}),
    "mlp": Kind(
        classes=_both("sklearn.neural_network", "MLPClassifier", "MLPRegressor"),
        is_scaled=True,
        settings={"hidden_layer_sizes": (64,), "alpha": 1e-3, "early_stopping": True},
    ),
    "isolation_forest": Kind(classes={"outliers": f"{_ENSEMBLE}.IsolationForest"}),
    "kmeans": Kind(classes={"clusters": "sklearn.cluster.KMeans"}, is_scaled=True),
    "calibrated": Kind(classes={"labels": "sklearn.calibration.CalibratedClassifierCV"}, of=("linear_svc",)),
    "one_vs_rest": Kind(classes={"labels": "sklearn.multiclass.OneVsRestClassifier"}, of=("linear_svc",)),
    # Hard votes make a whole vote of a member's rounding, where one that adds products is in doubt.
    "voting": Kind(
        classes=_both(_ENSEMBLE, "VotingClassifier", "VotingRegressor"),
        settings={"voting": "soft"},
        of=("forest", "mlp"),
    ),
    "lightgbm": Kind(
        classes=_both("lightgbm", "LGBMClassifier", "LGBMRegressor"),
        # Columns or rows are a choice that it makes by time, and that moves last bits.
        settings={"verbosity": -1, "deterministic": True, "force_col_wise": True, "n_jobs": 1},
        extra="lightgbm",
    ),
    "xgboost": Kind(classes=_both("xgboost", "XGBClassifier", "XGBRegressor"), settings={"n_jobs": 1}, extra="xgboost"),
}
DEFAULTS: Final[Mapping[Task, tuple[str, ...]]] = {
    "labels": ("logistic", "forest", "hist_gradient_boosting", "mlp"),
    "values": ("ridge", "forest", "hist_gradient_boosting", "mlp"),
}
"""What is trained where the project names none."""
METRICS: Final[Mapping[Task, tuple[str, ...]]] = {
    "labels": ("accuracy", "macro_f1"),
    "outliers": ("accuracy", "macro_f1"),
    "values": ("rmse", "mae", "r2"),
    "clusters": ("adjusted_rand", "v_measure"),
}
"""By which the best run is chosen; the first is the default."""
LESS_IS_BETTER: Final = ("rmse", "mae")


def able(task: Task) -> tuple[str, ...]:
    """The names that can be asked this."""
    return tuple(name for name, kind in ESTIMATORS.items() if task in kind.classes)
