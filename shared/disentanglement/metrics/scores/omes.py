"""OMES, overlap and multiple-encoding score (Dapueto et al., 2024, arXiv:2409.18017).

Shapes: N points, P pairs, D codes, A active codes, K factors. A code is taken to stand for a factor as far as it
is uncorrelated over pairs of points that differ in that factor alone. The two values of a pair always differ, so
for a factor of C values a code equal to it has the correlation -1/(C-1), not 0: a perfect code of a binary factor
scores 0, of a ternary one a half. The threshold of activity is absolute: the score depends on the codes' scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from disentanglement.errors import MetricUndefined, SpecError
from disentanglement.metrics.arrays import Codes, check_finite
from disentanglement.metrics.metric import Metric, Needs
from disentanglement.metrics.own_arrays import OwnArrays
from disentanglement.metrics.progress import Progress
from disentanglement.metrics.sampling.pairs import CodePairs, pairs_among, pairs_drawn
from disentanglement.metrics.sampling.points import Representation, sample_points
from disentanglement.specs.modern_metrics import OmesAvg, OmesMax

Pooling = Literal["max", "avg"]

ACTIVITY_SAMPLE = 10_000
"""Points drawn, with replacement, to judge which codes are active."""
DECIMALS = 4
"""The reference rounds its correlations and its score."""


@dataclass(frozen=True, slots=True)
class OmesResult:
    """How far each active code is changed by each factor, 0 to 1, and both parts of the score for each factor."""

    changed_AK: NDArray[np.float64]
    active_D: NDArray[np.bool_]
    overlap_K: NDArray[np.float64]
    encoding_K: NDArray[np.float64]
    alpha: float

    @property
    def score_of_factors(self) -> NDArray[np.float64]:
        """The score of each factor [K]."""
        return self.alpha * self.overlap_K + (1.0 - self.alpha) * self.encoding_K

    def scores(self) -> dict[str, float]:
        """The score, its two parts (that of `alpha` 1 and 0), and how many codes take part."""
        return {
            "omes": _rounded(self.score_of_factors),
            "overlap": _rounded(self.overlap_K),
            "multiple_encoding": _rounded(self.encoding_K),
            "num_active_codes": float(self.active_D.sum()),
        }


def _rounded(score_K: NDArray[np.float64]) -> float:
    return float(score_K.mean().round(DECIMALS))


def omes(
    codes_ND: Codes,
    pairs_K: Sequence[CodePairs],
    *,
    random_state: RandomState,
    pooling: Pooling = "avg",
    alpha: float = 0.5,
    min_std: float = 0.05,
) -> OmesResult:
    """`alpha` weighs codes that stand for one factor alone against factors that are encoded by one code alone.

    `codes_ND` says which codes are active: those whose standard deviation reaches `min_std`. `pooling` takes the best
    code of each factor (max), or the average over codes weighed by how far the factor changes them (avg). Raises
    MetricUndefined where no code is active, where a code never changes over the pairs of a factor, and for `avg`
    naming a factor that changes no code.
    """
    if not 0.0 <= alpha <= 1.0:
        raise SpecError.of("alpha", "0 to 1", alpha)
    check_finite(codes_ND)
    active_D = _active(codes_ND, random_state, min_std)
    columns = [_changed(pairs, active_D, factor) for factor, pairs in enumerate(pairs_K)]
    changed_AK = np.stack(columns, axis=1)
    overlap_AK = _closeness(changed_AK)
    encoding_AK = _closeness(changed_AK.T).T
    weighed = [_pooled(part_AK, changed_AK, pooling) for part_AK in (overlap_AK, encoding_AK)]
    return OmesResult(changed_AK, active_D, weighed[0], weighed[1], alpha)


def _active(codes_ND: Codes, random_state: RandomState, min_std: float) -> NDArray[np.bool_]:
    row_S = random_state.choice(len(codes_ND), size=ACTIVITY_SAMPLE)
    active_D: NDArray[np.bool_] = np.std(codes_ND[row_S], axis=0, ddof=1) >= min_std
    if not active_D.any():
        raise MetricUndefined(f"omes: no code has a standard deviation of {min_std} or more")
    return active_D


def _changed(pairs: CodePairs, active_D: NDArray[np.bool_], factor: int) -> NDArray[np.float64]:
    """One minus the absolute correlation over the pairs [A]."""
    centred = []
    for codes_PD in pairs:
        check_finite(codes_PD, f"codes of pairs for factor {factor}")
        codes_PA = codes_PD[:, active_D].astype(np.float64)
        constant_A = (codes_PA == codes_PA[0]).all(axis=0)
        if constant_A.any():
            code = int(np.flatnonzero(active_D)[constant_A][0])
            raise MetricUndefined(f"omes: codes[:, {code}] never changes over the pairs that differ in factor {factor}")
        centred.append(codes_PA - codes_PA.mean(axis=0))
    first_PA, second_PA = centred
    lengths_A = np.sqrt((first_PA**2).sum(axis=0) * (second_PA**2).sum(axis=0))
    correlation_A = np.clip((first_PA * second_PA).sum(axis=0) / lengths_A, -1.0, 1.0)
    changed_A: NDArray[np.float64] = (1.0 - np.abs(correlation_A)).round(DECIMALS)
    return changed_A


def _closeness(changed_RC: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each row and column, how near the row is to 1 at that column and 0 elsewhere (mean absolute distance).

    All terms but one are plain sums of the row: the column's own `c` is replaced by its distance to 1.
    """
    distance_RC = changed_RC.sum(axis=1, keepdims=True) - changed_RC + (1.0 - changed_RC)
    closeness_RC: NDArray[np.float64] = 1.0 - distance_RC / changed_RC.shape[1]
    return closeness_RC


def _pooled(
    closeness_AK: NDArray[np.float64], changed_AK: NDArray[np.float64], pooling: Pooling
) -> NDArray[np.float64]:
    """[K]: of the codes, weighed by how far the factor changes each."""
    weighed_AK = closeness_AK * changed_AK
    if pooling == "max":
        best_K: NDArray[np.float64] = weighed_AK.max(axis=0)
        return best_K
    total_K = changed_AK.sum(axis=0)
    if not total_K.all():
        raise MetricUndefined(f"omes with pooling avg: factor {int(np.argmin(total_K))} changes no code")
    average_K: NDArray[np.float64] = (weighed_AK * changed_AK).sum(axis=0) / total_K
    return average_K


def _metric(pooling: Pooling) -> Metric:
    def evaluate(spec: OmesAvg | OmesMax, representation: Representation, seed: int, progress: Progress) -> OmesResult:
        """Of fresh pairs for each factor, then fresh points in one batch, which say what codes are active."""
        rs = RandomState(seed)
        pairs_K = pairs_drawn(representation, spec.num_pairs, rs)
        codes_ND = sample_points(representation, spec.num_train, rs, spec.num_train).codes_ND
        return omes(codes_ND, pairs_K, random_state=rs, pooling=pooling, alpha=spec.alpha, min_std=spec.min_std)

    def score(spec: OmesAvg | OmesMax, arrays: OwnArrays, seed: int, progress: Progress) -> OmesResult:
        """Of all pairs among the given points (100,000 for each factor at most), whatever `num_pairs` says."""
        pairs_K, rs = pairs_among(arrays.given, np.random.default_rng(seed)), RandomState(seed)
        return omes(
            arrays.given.codes_ND, pairs_K, random_state=rs, pooling=pooling, alpha=spec.alpha, min_std=spec.min_std
        )

    return Metric(Needs.FIXED_FACTORS, evaluate, score)


AVG = _metric("avg")
MAX = _metric("max")
