"""The reference's evaluation protocol: how many points each metric draws, in which order, from one seed.

Two generators start from the metric's seed: one draws the points, the other breaks ties in boosted trees. The
reference leaves the second unseeded; with a generator of its own scores repeat, and the points are the same
as there.
"""

from __future__ import annotations

from numpy.random import RandomState

from disentanglement.metrics.dci import DciResult, dci
from disentanglement.metrics.factor_vae_score import (
    FactorVaeScoreResult,
    active_codes,
    factor_vae_score,
    without_active_codes,
)
from disentanglement.metrics.mig import MigResult, mig
from disentanglement.metrics.progress import Progress, part_of
from disentanglement.metrics.sampling import (
    Representation,
    generate_batch_factor_code,
    sample_points,
    variance_of_codes,
    variances_at_fixed_factors,
)
from disentanglement.metrics.sap_score import SapResult, sap_score_continuous, sap_score_discrete
from disentanglement.specs.metrics import Dci, FactorVaeScore, Mig, SapScore


def evaluate_mig(spec: Mig, representation: Representation, seed: int, progress: Progress) -> MigResult:
    """MIG on `num_train` fresh points."""
    rs = RandomState(seed)
    sample = generate_batch_factor_code(representation, spec.num_train, rs, spec.batch_size)
    return mig(*sample, num_bins=spec.num_bins)


def evaluate_sap_score(spec: SapScore, representation: Representation, seed: int, progress: Progress) -> SapResult:
    """SAP trained on `num_train` fresh points, tested on `num_test` more."""
    rs = RandomState(seed)
    train = sample_points(representation, spec.num_train, rs, spec.batch_size)
    if spec.continuous_factors:
        return sap_score_continuous(train.codes_ND, train.factors_NK)
    test = sample_points(representation, spec.num_test, rs, spec.batch_size)
    return sap_score_discrete(train, test, progress=progress)


def evaluate_dci(spec: Dci, representation: Representation, seed: int, progress: Progress) -> DciResult:
    """DCI trained on `num_train` fresh points, tested on `num_test` more."""
    rs = RandomState(seed)
    train = sample_points(representation, spec.num_train, rs, spec.batch_size)
    test = sample_points(representation, spec.num_test, rs, spec.batch_size)
    return dci(train, test, random_state=RandomState(seed), progress=progress)


def evaluate_factor_vae_score(
    spec: FactorVaeScore, representation: Representation, seed: int, progress: Progress
) -> FactorVaeScoreResult:
    """FactorVAE score: variances of codes over the data set, then training votes, then evaluation votes."""
    rs = RandomState(seed)
    variance_D = variance_of_codes(representation, spec.num_variance_estimate, rs)
    num_factors = len(representation.factor_sizes)
    if not active_codes(variance_D, spec.prune_threshold).any():
        return without_active_codes(representation.num_codes, num_factors)
    to_train = spec.num_train / (spec.num_train + spec.num_eval)
    train, evaluation = (
        variances_at_fixed_factors(representation, num_votes, rs, spec.batch_size, progress=part)
        for num_votes, part in (
            (spec.num_train, part_of(progress, 0.0, to_train)),
            (spec.num_eval, part_of(progress, to_train, 1.0)),
        )
    )
    return factor_vae_score(
        variance_D, train, evaluation, num_factors=num_factors, prune_threshold=spec.prune_threshold
    )
