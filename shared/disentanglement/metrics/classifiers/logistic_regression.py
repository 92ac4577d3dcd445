"""Logistic regression with an L2 penalty, as scikit-learn's `LogisticRegression` poses it, at its optimum.

Shapes: N points, D codes, C classes, V weights of a class (D coefficients and the intercept, last). Minimized is
the mean cross entropy of the softmax of `codes @ coefficients + intercepts`, plus half the squared coefficients
(not the intercepts) over N times `inverse_penalty`. Two classes have one row of coefficients in scikit-learn,
here two opposite halves of it: the penalty is the same with half the `inverse_penalty`.

scikit-learn stops its L-BFGS at a gradient of 1e-4, here it is 1e-6. The steps are of L-BFGS too, but start from
second derivatives instead of a multiple of the gradient, so that a third as many do, or fewer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Codes, check_finite
from disentanglement.metrics.classifiers.softmax_loss import Floats, SoftmaxLoss, Solve, curvature, softmax

Labels = NDArray[np.int64]

TOLERANCE = 1e-6
"""Largest entry of the gradient, of the mean loss, at the optimum."""
SINGLE_TOLERANCE = 1e-5
"""Where single precision hands over to double: its losses are too coarse to go further down."""
MAX_STEPS = 1000
MEMORY = 30
"""Past steps that correct the second derivatives."""
REFRESHES = frozenset(3**power for power in range(1, 7))
"""Steps after which second derivatives are taken anew: sooner at first, where they change most."""
SUFFICIENT = 1e-4
"""Share of the decrease that the slope promises with which a step is content (Armijo)."""


@dataclass(frozen=True, slots=True)
class LogisticRegression:
    """A fitted classifier: a row of weights per class, the intercept last; classes ascend."""

    classes_C: Labels
    weights_CV: Floats

    @property
    def coefficients(self) -> Floats:
        """What each class gives for each code [C, D]."""
        return self.weights_CV[:, :-1]

    @property
    def intercepts(self) -> Floats:
        """What each class gives at code 0 [C]; they sum to 0."""
        return self.weights_CV[:, -1]

    def logits(self, codes_ND: Codes) -> Floats:
        """Unnormalized logarithm of each class's probability [N, C]."""
        logits_NC: Floats = codes_ND @ self.coefficients.T + self.intercepts
        return logits_NC

    def probabilities(self, codes_ND: Codes) -> Floats:
        """Of each class at each point [N, C]."""
        probability_CN: Floats = softmax(self.logits(codes_ND).T)[0]
        return probability_CN.T

    def predict(self, codes_ND: Codes) -> Labels:
        """The likeliest class of each point [N], the lowest of equals."""
        likeliest_N: Labels = self.classes_C[np.argmax(self.logits(codes_ND), axis=1)]
        return likeliest_N


def fit_logistic_regression(
    codes_ND: Codes,
    labels_N: Labels,
    *,
    inverse_penalty: float = 1.0,
    tolerance: float = TOLERANCE,
    start_CV: Floats | None = None,
) -> LogisticRegression:
    """The optimum, from zero or from `start_CV` (the weights of a neighbouring fit: sooner).

    Raises MetricUndefined for labels of a single class, for codes that are not finite, and where the optimum
    is out of reach of double precision.
    """
    check_finite(codes_ND)
    classes_C, class_N = np.unique(labels_N, return_inverse=True)
    if len(classes_C) < 2:
        raise MetricUndefined(f"logistic regression needs labels of 2 classes or more; all are {classes_C[0]}")
    penalty = (2.0 if len(classes_C) == 2 else 1.0) / (inverse_penalty * len(codes_ND))
    double = SoftmaxLoss.of(codes_ND, class_N, len(classes_C), penalty)
    descent = _Descent(np.zeros(double.shape) if start_CV is None else start_CV)
    descent.run(double.single(), max(tolerance, SINGLE_TOLERANCE))
    if not descent.run(double, tolerance):
        raise MetricUndefined(f"logistic regression did not reach a gradient of {tolerance} on these codes")
    weights_CV = descent.weights_CV.copy()
    weights_CV[:, -1] -= weights_CV[:, -1].mean()  # the same for all classes changes no probability
    return LogisticRegression(classes_C, weights_CV)


class _Descent:
    """Weights on their way down, and what has been learned of the curvature."""

    solve: Solve

    def __init__(self, weights_CV: Floats) -> None:
        self.weights_CV = weights_CV
        self.past: list[tuple[Floats, Floats]] = []
        self.steps = 0

    def run(self, problem: SoftmaxLoss, tolerance: float) -> bool:
        """Whether the tolerance was reached; if not, rounding leaves no way down, or steps are spent."""
        loss, gradient_CV = problem.at(self.weights_CV)
        while np.abs(gradient_CV).max() > tolerance:
            if self.steps in REFRESHES or self.steps == 0:
                self.solve, self.past = curvature(problem, self.weights_CV), []
            step_CV = -self._preconditioned(gradient_CV)
            found = _search(problem, self.weights_CV, step_CV, loss, float(np.vdot(gradient_CV, step_CV)))
            if found is None or self.steps == MAX_STEPS:
                return False
            share, loss, next_CV = found
            self._remember(share * step_CV, next_CV - gradient_CV)
            gradient_CV = next_CV
        return True

    def _remember(self, step_CV: Floats, change_CV: Floats) -> None:
        self.weights_CV = self.weights_CV + step_CV
        self.steps += 1
        if np.vdot(step_CV, change_CV) > 0:  # rounding can say that a convex loss curves down
            self.past = [*self.past, (step_CV, change_CV)][-MEMORY:]

    def _preconditioned(self, gradient_CV: Floats) -> Floats:
        """The two loops of L-BFGS (Nocedal, 1980)."""
        rest_CV, shares = gradient_CV, []
        for step_CV, change_CV in reversed(self.past):
            shares.append(np.vdot(step_CV, rest_CV) / np.vdot(step_CV, change_CV))
            rest_CV = rest_CV - shares[-1] * change_CV
        found_CV = self.solve(rest_CV)
        for (step_CV, change_CV), share in zip(self.past, reversed(shares), strict=True):
            found_CV = found_CV + step_CV * (share - np.vdot(change_CV, found_CV) / np.vdot(step_CV, change_CV))
        return found_CV


def _search(
    problem: SoftmaxLoss, weights_CV: Floats, step_CV: Floats, loss: float, slope: float
) -> tuple[float, float, Floats] | None:
    """Share of the step, loss and gradient there: the whole step, or half as much until the loss is less."""
    share = 1.0
    while slope < 0 and share > problem.least_share:
        trial, gradient_CV = problem.at(weights_CV + share * step_CV)
        if trial <= loss + SUFFICIENT * share * slope + problem.rounding:
            return share, trial, gradient_CV
        share /= 2
    return None
