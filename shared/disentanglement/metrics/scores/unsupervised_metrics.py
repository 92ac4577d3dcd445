"""How far codes are from independent, without looking at factors (Locatello et al., 2019, arXiv:1811.12359).

Shapes: N points, D codes. Total correlation and Wasserstein distance are those of the Gaussian that has the codes'
covariance to the one without its off-diagonal part; mutual information is between pairs of codes cut into bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined
from disentanglement.metrics.arrays import Codes, check_finite, check_several_codes
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress
from disentanglement.metrics.sampling.points import Representation, sample_points
from disentanglement.metrics.statistics.discretizer import discretize
from disentanglement.metrics.statistics.information import mutual_information
from disentanglement.specs.metrics import UnsupervisedMetrics


@dataclass(frozen=True, slots=True)
class UnsupervisedResult:
    """Covariance of the codes, and what each knows of each other in nats; the diagonal is the entropy of the bins."""

    covariance_DD: NDArray[np.float64]
    information_DD: NDArray[np.float64]

    def scores(self) -> dict[str, float]:
        """Under the reference's keys."""
        wasserstein = gaussian_wasserstein_correlation(self.covariance_DD)
        total_variance = float(np.trace(self.covariance_DD))
        return {
            "gaussian_total_correlation": gaussian_total_correlation(self.covariance_DD),
            "gaussian_wasserstein_correlation": wasserstein,
            "gaussian_wasserstein_correlation_norm": wasserstein / total_variance if total_variance > 0 else nan,
            "mutual_info_score": self._mean_information(),
        }

    def _mean_information(self) -> float:
        """Over all pairs of two codes."""
        num_codes = len(self.information_DD)
        between_DD = self.information_DD[~np.eye(num_codes, dtype=np.bool_)]
        return float(between_DD.mean())


def unsupervised_metrics(codes_ND: Codes, *, num_bins: int = 20) -> UnsupervisedResult:
    """Covariance and mutual information of codes, which are cut into `num_bins` bins of equal width for the latter.

    Raises MetricUndefined for a single code (the reference fails) and for a single point.
    """
    check_finite(codes_ND)
    check_several_codes(codes_ND, "unsupervised_metrics")
    if len(codes_ND) < 2:
        raise MetricUndefined("unsupervised_metrics needs the codes' covariance, hence 2 rows or more; got 1")
    bins_ND = discretize(codes_ND, num_bins=num_bins)
    return UnsupervisedResult(np.cov(codes_ND, rowvar=False), mutual_information(bins_ND, bins_ND))


def gaussian_total_correlation(covariance_DD: NDArray[np.float64]) -> float:
    """Divergence, in nats, of the Gaussian from the product of its marginals.

    NaN where a code never changes, as in the reference: it has no density. Infinite, or large and decided by
    rounding, where codes are linear functions of others.
    """
    variance_D = np.diag(covariance_DD)
    if not variance_D.all():
        return nan
    determinant = float(np.linalg.slogdet(covariance_DD).logabsdet)  # sign ignored: rounding can make it negative
    return inf if determinant == -inf else 0.5 * (float(np.log(variance_D).sum()) - determinant)


def gaussian_wasserstein_correlation(covariance_DD: NDArray[np.float64]) -> float:
    """Squared Wasserstein distance of the Gaussian to the product of its marginals; 0 for independent codes.

    The reference takes the trace of a general matrix root, complex where rounding makes an eigenvalue negative
    (JSON has no such number). The eigenvalues are those of the symmetric product taken here, whose negative ones
    are 0 but for rounding: the trace is the real part of the reference's.
    """
    variance_D = np.diag(covariance_DD)
    scale_D = np.sqrt(variance_D)
    eigenvalue_D = np.linalg.eigvalsh(scale_D[:, None] * covariance_DD * scale_D)
    return float(2 * variance_D.sum() - 2 * np.sqrt(np.maximum(eigenvalue_D, 0.0)).sum())


def evaluate(
    spec: UnsupervisedMetrics, representation: Representation, seed: int, progress: Progress
) -> UnsupervisedResult:
    """Of `num_train` fresh points; their factors play no part."""
    points = sample_points(representation, spec.num_train, RandomState(seed), spec.batch_size)
    return unsupervised_metrics(points.codes_ND, num_bins=spec.num_bins)


def score(spec: UnsupervisedMetrics, arrays: OwnArrays, seed: int, progress: Progress) -> UnsupervisedResult:
    """Of the given codes; factors and test points play no part."""
    return unsupervised_metrics(arrays.given.codes_ND, num_bins=spec.num_bins)


METRIC = Metric(Needs.POINTS, evaluate, score)
