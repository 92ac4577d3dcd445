"""InfoE: how well all codes together predict each factor (Hsu et al., 2023, arXiv:2305.18378).

Shapes: N points, K factors, V inputs of a predictor, C classes.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Codes, Factors
from disentanglement.metrics.progress import Progress, silent

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MAX_ITERATIONS = 100
"""Where the authors' solver stops, converged or not. The optimum of separable classes is at infinity: the score says
how near it the solver came, and versions of scikit-learn differ by up to 1e-3."""


def explicitness(
    inputs_NV: Codes | csr_array, factors_NK: Factors, *, progress: Progress = silent
) -> NDArray[np.float64]:
    """Share [K] of the cross entropy of knowing nothing that a logistic regression removes, on its own points.

    Without a penalty, and with balanced classes; so"""
    explicitness_K = np.empty(factors_NK.shape[1])
    for factor, labels_N in enumerate(factors_NK.T):
        label_N = np.unique(labels_N, return_inverse=True)[1]
        nothing = np.log(label_N.max() + 1)
        explicitness_K[factor] = (nothing - _cross_entropy(inputs_NV, label_N)) / nothing
        progress((factor + 1) / len(explicitness_K))
    return explicitness_K


def _cross_entropy(inputs_NV: Codes | csr_array, label_N: NDArray[np.int64]) -> float:
    """Unweighted mean, in nats."""
    from scipy.special import log_softmax
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression  # seconds to import: only who scores pays for it

    classifier = LogisticRegression(
        C=np.inf, class_weight="balanced", solver="lbfgs", tol=1e-4, max_iter=MAX_ITERATIONS
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(inputs_NV, label_N)
    logits = classifier.decision_function(inputs_NV)
    logits_NC = np.stack([np.zeros(len(logits)), logits], axis=1) if logits.ndim == 1 else logits
    return float(-log_softmax(logits_NC, axis=1)[np.arange(len(label_N)), label_N].mean())


def one_hot(labels_ND: NDArray[np.int64]) -> csr_array:
    """An input [N, V] for each value of each column, one after the other."""
    from scipy.sparse import csr_array

    ranks_ND = np.stack([np.unique(label_N, return_inverse=True)[1] for label_N in labels_ND.T], axis=1)
    num_values_D = ranks_ND.max(axis=0) + 1
    places_ND = ranks_ND + (np.cumsum(num_values_D) - num_values_D)
    num_points, num_codes = labels_ND.shape
    starts = np.arange(0, places_ND.size + 1, num_codes)
    shape = (num_points, int(num_values_D.sum()))
    return csr_array((np.ones(places_ND.size), places_ND.ravel(), starts), shape=shape)


def linear_explicitness(codes_ND: Codes, factors_NK: Factors) -> NDArray[np.float64]:
    """R squared [K] of ordinary least squares from standardised codes to each factor, on its own points."""
    inputs_NV = np.column_stack([np.ones(len(codes_ND)), codes_ND]).astype(np.float64)
    factors_NK = factors_NK.astype(np.float64)
    fitted_NK = inputs_NV @ np.linalg.lstsq(inputs_NV, factors_NK)[0]
    left_K = ((factors_NK - fitted_NK) ** 2).sum(axis=0)
    r_squared_K: NDArray[np.float64] = 1 - left_K / ((factors_NK - factors_NK.mean(axis=0)) ** 2).sum(axis=0)
    return r_squared_K
