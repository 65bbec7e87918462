"""Every estimator of the export contract, small, with the data that it is tried on."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import datasets
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

F32 = npt.NDArray[np.float32]
LOADERS: dict[str, Callable[..., Any]] = {
    "digits": datasets.load_digits,
    "cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "iris": datasets.load_iris,
    "diabetes": datasets.load_diabetes,
}


@cache
def data(name: str) -> tuple[F32, Any]:
    """Rows and targets; "diabetes 2" has two targets a row, "wine nan" holes."""
    x, y = LOADERS[name.split(maxsplit=1)[0]](return_X_y=True)
    if name.endswith(" nan"):
        x = np.where(np.random.default_rng(0).random(x.shape) < 0.1, np.nan, x)
    return x.astype(np.float32), np.stack([y, 3 - y / 2], axis=1) if name.endswith(" 2") else y


def scaled(model: Any, scaler: Any = None) -> Any:
    return make_pipeline(scaler or StandardScaler(), model)


def _forest(n: int = 10, **params: Any) -> Any:
    return RandomForestClassifier(n, **params)


CASES: dict[str, tuple[str, Callable[[], Any]]] = {
    # trees: every label and every score
    "decision tree": ("digits", lambda: DecisionTreeClassifier(max_depth=8)),
    "decision tree, 2 targets": ("diabetes 2", lambda: DecisionTreeRegressor(max_depth=5)),
    "forest": ("digits", lambda: _forest(20)),
    "forest behind StandardScaler": ("digits", lambda: scaled(_forest())),
    "forest behind MinMaxScaler": ("cancer", lambda: scaled(_forest(), MinMaxScaler(clip=True))),
    "forest with holes": ("wine nan", _forest),
    "forest, regression": ("diabetes", lambda: RandomForestRegressor(10)),
    "extra trees behind RobustScaler": ("digits", lambda: scaled(ExtraTreesClassifier(10), RobustScaler())),
    "extra trees, 2 targets": ("diabetes 2", lambda: ExtraTreesRegressor(10)),
    "gradient boosting, 2 classes": ("cancer", lambda: GradientBoostingClassifier(n_estimators=10)),
    "gradient boosting, exponential": (
        "cancer",
        lambda: GradientBoostingClassifier(n_estimators=10, loss="exponential"),
    ),
    "gradient boosting, 3 classes": ("wine", lambda: scaled(GradientBoostingClassifier(n_estimators=10))),
    "gradient boosting, regression": ("diabetes", lambda: GradientBoostingRegressor(n_estimators=10)),
    "hist boosting, 2 classes": ("cancer", lambda: scaled(HistGradientBoostingClassifier(max_iter=10))),
    "hist boosting, 3 classes with holes": ("wine nan", lambda: HistGradientBoostingClassifier(max_iter=10)),
    "hist boosting, regression": ("diabetes", lambda: HistGradientBoostingRegressor(max_iter=10)),
    "hist boosting, Poisson": ("diabetes", lambda: HistGradientBoostingRegressor(max_iter=10, loss="poisson")),
    "AdaBoost, 2 classes": ("cancer", lambda: AdaBoostClassifier(n_estimators=10)),
    "AdaBoost, 3 classes": ("wine", lambda: AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=10)),
    "isolation forest": ("cancer", lambda: IsolationForest(n_estimators=20)),
    "isolation forest, some features": (
        "cancer",
        lambda: scaled(IsolationForest(n_estimators=20, contamination=0.1, max_features=0.5)),
    ),
    "calibrated forest, isotonic": ("cancer", lambda: CalibratedClassifierCV(_forest(5), method="isotonic", cv=2)),
    "calibrated scaled forest": ("digits", lambda: CalibratedClassifierCV(scaled(_forest(5)), cv=2)),
    "calibrated AdaBoost": ("cancer", lambda: CalibratedClassifierCV(AdaBoostClassifier(n_estimators=5), cv=2)),
    "one tree against the rest": ("iris", lambda: OneVsRestClassifier(DecisionTreeClassifier(max_depth=3))),
    "one tree against one": ("cancer", lambda: OneVsRestClassifier(DecisionTreeClassifier(max_depth=3))),
    # sums of products: labels but where the trainer itself is in doubt
    "logistic, 10 classes": ("digits", lambda: LogisticRegression(max_iter=50)),
    "logistic, 2 classes": ("cancer", lambda: scaled(LogisticRegression())),
    "logistic, liblinear": ("cancer", lambda: LogisticRegression(solver="liblinear")),
    "linear SVC": ("digits", lambda: LinearSVC(max_iter=200)),
    "linear SVC, 2 classes": ("cancer", lambda: scaled(LinearSVC(), MinMaxScaler(clip=True))),
    "ridge classifier": ("cancer", RidgeClassifier),
    "SGD, log loss": ("wine", lambda: scaled(SGDClassifier(loss="log_loss"), RobustScaler())),
    "SGD, modified Huber": ("wine", lambda: scaled(SGDClassifier(loss="modified_huber"))),
    "SGD, hinge": ("wine", lambda: scaled(SGDClassifier())),
    "naive Bayes": ("wine", GaussianNB),
    "LDA, 3 classes": ("wine", LinearDiscriminantAnalysis),
    "LDA, 2 classes": ("cancer", LinearDiscriminantAnalysis),
    "MLP": ("digits", lambda: scaled(MLPClassifier((16,), max_iter=20))),
    "MLP, tanh": ("cancer", lambda: scaled(MLPClassifier((8, 8), activation="tanh", max_iter=20))),
    "KMeans": ("wine", lambda: scaled(KMeans(4, n_init=1))),
    "PCA, logistic": ("digits", lambda: make_pipeline(StandardScaler(), PCA(10), LogisticRegression())),
    "PCA, forest": ("digits", lambda: make_pipeline(PCA(10, whiten=True), _forest())),
    "PCA, voting behind scalers": ("wine", lambda: make_pipeline(PCA(5), VotingClassifier(_members(LinearSVC())))),
    "calibrated scaled SVC": ("digits", lambda: CalibratedClassifierCV(scaled(LinearSVC(max_iter=50)), cv=2)),
    "scaler, calibrated Bayes": ("cancer", lambda: scaled(CalibratedClassifierCV(GaussianNB(), cv=2))),
    "one logistic against the rest": ("wine", lambda: OneVsRestClassifier(scaled(LogisticRegression()))),
    "one SVC against the rest": ("digits", lambda: OneVsRestClassifier(LinearSVC(max_iter=50))),
    "soft voting": ("wine", lambda: VotingClassifier(_members(LogisticRegression()), voting="soft", weights=[1, 2, 1])),
    "hard voting": ("wine", lambda: VotingClassifier(_members(LinearSVC()))),
    # values
    "ridge": ("diabetes", Ridge),
    "lasso, 2 targets": ("diabetes 2", lambda: Lasso(0.1)),
    "elastic net": ("diabetes", lambda: ElasticNet(0.01)),
    "linear regression": ("diabetes", lambda: scaled(LinearRegression())),
    "SGD, regression": ("diabetes", SGDRegressor),
    "MLP, 2 targets": ("diabetes 2", lambda: MLPRegressor(hidden_layer_sizes=(8,), activation="logistic", max_iter=20)),
    "voting, regression": ("diabetes", lambda: VotingRegressor([("a", RandomForestRegressor(5)), ("b", Ridge())])),
}
"""Name -> (data, maker)."""


def _members(linear: Any) -> list[tuple[str, Any]]:
    return [("forest", _forest(5)), ("linear", scaled(linear)), ("bayes", GaussianNB())]


@cache
def fitted(name: str) -> tuple[Any, F32]:
    """The estimator of a case on every second row, one seed, and the other rows."""
    where, make = CASES[name]
    x, y = data(where)
    estimator = make()
    seeds = {key: 0 for key in estimator.get_params() if key.rpartition("__")[2] == "random_state"}
    estimator.set_params(**seeds).fit(x[::2].astype(np.float64), y[::2])
    return estimator, np.ascontiguousarray(x[1::2])
