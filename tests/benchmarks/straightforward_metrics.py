"""The reference's metrics as one writes them first: NumPy loops in the order of the draws, scikit-learn's estimators.

The rival of `bench_metrics.py`, nothing else. Shapes: N points, D codes, K factors.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.model_selection import KFold
from sklearn.preprocessing import MultiLabelBinarizer
from sklearn.svm import LinearSVC

from disentanglement.metrics.sampling.points import GridRepresentation

Array = NDArray[Any]
TRAIN, TEST = 10_000, 5_000
BATCH, BINS = 16, 20
SIZES = (10, 100, 1000, 10_000)


def codes_at(data: GridRepresentation, factors_NK: Array, rs: RandomState) -> Array:
    """Codes [N, D] of these factor values."""
    return data.codes_of(data.rows(factors_NK, rs))


def sample(data: GridRepresentation, num: int, rs: RandomState, batch: int = BATCH) -> tuple[Array, Array]:
    """Codes [N, D] and factors [N, K], batch by batch."""
    codes, factors = [], []
    for start in range(0, num, batch):
        factors.append(data.sample_factors(min(batch, num - start), rs))
        codes.append(codes_at(data, factors[-1], rs))
    return np.concatenate(codes), np.concatenate(factors)


def bins_of(codes_ND: Array) -> Array:
    """Bins [N, D] of equal width."""
    return np.stack([np.digitize(code, np.histogram(code, BINS)[1][:-1]) for code in codes_ND.T], axis=1)


def information(left_ND: Array, right_NK: Array) -> Array:
    """Mutual information [D, K]."""
    return np.array([[mutual_info_score(right, left) for right in right_NK.T] for left in left_ND.T])


def gap(score_DK: Array) -> Array:
    """Best minus second best, for each factor."""
    ordered = np.sort(score_DK, axis=0)
    return np.asarray(ordered[-1] - ordered[-2])


def mig(data: GridRepresentation, rs: RandomState) -> float:
    """Mutual information gap."""
    codes, factors = sample(data, TRAIN, rs)
    entropy = np.diag(information(factors, factors))
    return float(np.mean(gap(information(bins_of(codes), factors)) / entropy))


def svm_accuracies(train: tuple[Array, Array], test: tuple[Array, Array]) -> Array:
    """Accuracy [D, K] of a linear classifier on one code."""
    score = np.zeros((train[0].shape[1], train[1].shape[1]))
    for d, k in np.ndindex(score.shape):
        classifier = LinearSVC(C=0.01, class_weight="balanced").fit(train[0][:, [d]], train[1][:, k])
        score[d, k] = np.mean(classifier.predict(test[0][:, [d]]) == test[1][:, k])
    return score


def sap_score(data: GridRepresentation, rs: RandomState) -> float:
    """Separated attribute predictability, discrete factors."""
    return float(gap(svm_accuracies(sample(data, TRAIN, rs), sample(data, TEST, rs))).mean())


def importances(train: tuple[Array, Array]) -> Array:
    """Importance [D, K] in boosted trees."""
    return np.stack([GradientBoostingClassifier().fit(train[0], k).feature_importances_ for k in train[1].T], axis=1)


def dci(data: GridRepresentation, rs: RandomState) -> float:
    """The informativeness of DCI: everything that costs time."""
    train, test = sample(data, TRAIN, rs), sample(data, TEST, rs)
    return accuracies(GradientBoostingClassifier, train, test)


def accuracies(predictor: Callable[[], Any], train: tuple[Array, Array], test: tuple[Array, Array]) -> float:
    """Mean test accuracy over factors."""
    rights = []
    for train_N, test_N in zip(train[1].T, test[1].T, strict=True):
        fitted = predictor().fit(train[0], train_N)
        rights.append((np.mean(fitted.predict(train[0]) == train_N), np.mean(fitted.predict(test[0]) == test_N)))
    return float(np.mean([right for _, right in rights]))


def modularity_explicitness(data: GridRepresentation, rs: RandomState) -> float:
    """Modularity plus explicitness."""
    train, test = sample(data, TRAIN, rs), sample(data, TEST, rs)
    squared = information(bins_of(train[0]), train[1]) ** 2
    best = squared.max(axis=1)
    modularity = np.mean(1 - (squared.sum(axis=1) - best) / (best * (squared.shape[1] - 1)))
    mean, std = train[0].mean(axis=0), train[0].std(axis=0)
    explicitness = []
    for k in range(train[1].shape[1]):
        fitted = LogisticRegression().fit((train[0] - mean) / std, train[1][:, k])
        for codes, factors in (train, test):
            one_hot = MultiLabelBinarizer().fit_transform(factors[:, [k]])
            explicitness.append(roc_auc_score(one_hot, fitted.predict_proba((codes - mean) / std)))
    return float(modularity + np.mean(explicitness))


def beta_vae_sklearn(data: GridRepresentation, rs: RandomState) -> float:
    """BetaVAE score."""

    def points(num: int) -> tuple[Array, Array]:
        features, labels = [], []
        for _ in range(num):
            k = rs.randint(len(data.factor_sizes))
            one, other = data.sample_factors(64, rs), data.sample_factors(64, rs)
            other[:, k] = one[:, k]
            features.append(np.mean(np.abs(codes_at(data, one, rs) - codes_at(data, other, rs)), axis=0))
            labels.append(k)
        return np.array(features, dtype=np.float64), np.array(labels)

    train = points(TRAIN)
    fitted = LogisticRegression(random_state=rs).fit(*train)
    return float(fitted.score(*train) + fitted.score(*points(TEST)))


def factor_vae_score(data: GridRepresentation, rs: RandomState) -> float:
    """FactorVAE score."""
    whole, _ = sample(data, TRAIN, rs, TRAIN)
    variance = np.var(whole, axis=0, ddof=1)
    active = np.sqrt(variance) >= 0.05

    def votes(num: int) -> Array:
        table = np.zeros((len(data.factor_sizes), data.num_codes), dtype=np.int64)
        for _ in range(num):
            k = rs.randint(len(data.factor_sizes))
            factors = data.sample_factors(64, rs)
            factors[:, k] = factors[0, k]
            local = np.var(codes_at(data, factors, rs), axis=0, ddof=1)
            table[k, np.argmin(local[active] / variance[active])] += 1
        return table

    train, evaluation = votes(TRAIN), votes(TEST)
    classifier = train.argmax(axis=0)
    return float(evaluation[classifier, np.arange(len(classifier))].sum() / evaluation.sum())


def unsupervised_metrics(data: GridRepresentation, rs: RandomState) -> float:
    """Total correlation, Wasserstein correlation, mutual information of codes."""
    codes, _ = sample(data, TRAIN, rs)
    covariance = np.cov(codes.T)
    total = 0.5 * (np.log(np.diag(covariance)).sum() - np.linalg.slogdet(covariance)[1])
    root = scipy.linalg.sqrtm(np.diag(covariance)[:, None] * covariance)
    wasserstein = 2 * np.trace(covariance) - 2 * np.trace(root).real
    shared = information(bins_of(codes), bins_of(codes))
    np.fill_diagonal(shared, 0)
    return float(total + wasserstein + shared.mean())


def irs(data: GridRepresentation, rs: RandomState) -> float:
    """Interventional robustness."""
    codes, factors = sample(data, TRAIN, rs)
    bins = bins_of(factors)
    largest = np.max(np.abs(codes - codes.mean(axis=0)), axis=0)
    robust = np.zeros((codes.shape[1], factors.shape[1]))
    for k in range(factors.shape[1]):
        values = np.unique(bins[:, k])
        for value in values:
            group = codes[bins[:, k] == value]
            robust[:, k] += np.percentile(np.abs(group - group.mean(axis=0)), 99, axis=0) / len(values)
    score = (1 - robust / largest[:, None]).max(axis=1)
    return float((largest * score).sum() / largest.sum())


def logistic_regression_cv() -> LogisticRegressionCV:
    """The reference's."""
    return LogisticRegressionCV(Cs=10, cv=KFold(n_splits=5))


def downstream_task(data: GridRepresentation, rs: RandomState, predictor: Callable[[], Any]) -> float:
    """Accuracy after training on 10 to 10,000 points; those with too few points for a fit count as nothing."""
    total = 0.0
    for num in SIZES:
        train, test = sample(data, num, rs), sample(data, TEST, rs)
        try:
            total += accuracies(predictor, train, test)
        except ValueError:  # a class that lacks, of ten points
            warnings.warn(f"{num} points are too few", stacklevel=1)
    return total


def fairness(data: GridRepresentation, rs: RandomState) -> float:
    """Mean unfairness of boosted trees over pairs of factors."""
    codes, factors = sample(data, TRAIN, rs)
    unfair = []
    for target, target_size in enumerate(data.factor_sizes):
        fitted = GradientBoostingClassifier().fit(codes, factors[:, target])
        for sensitive, sensitive_size in enumerate(data.factor_sizes):
            if sensitive == target:
                continue
            base = data.sample_factors(100, rs)
            counts = np.zeros((target_size, sensitive_size))
            for value in range(sensitive_size):
                base[:, sensitive] = value
                predicted = fitted.predict(codes_at(data, base, rs))
                counts[:, value] = np.bincount(predicted, minlength=target_size)
            overall = counts.sum(axis=1) / counts.sum()
            unfair.append(0.5 * np.abs(counts / counts.sum(axis=0) - overall[:, None]).sum(axis=0).mean())
    return float(np.mean(unfair))


def unified_scores(data: GridRepresentation, rs: RandomState) -> float:
    """The three matrices; their aggregations cost nothing."""
    train, test = sample(data, TRAIN, rs), sample(data, TEST, rs)
    matrices = importances(train), information(bins_of(train[0]), train[1]), svm_accuracies(train, test)
    return float(np.sum([gap(matrix).mean() for matrix in matrices]))
