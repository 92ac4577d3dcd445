"""The metrics that papers since 2019 quote beside the reference's: one type per estimator.

A score under one name is often computed in several ways, and the ways differ by more than models do: each has a word of
its own, and a parameter only where one code of the authors has it too. Defaults are those of the authors' code.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from disentanglement.specs.base import A_LIST, AtLeastTwo, Bins, Count, Fraction, NonNegative, Spec

Depths = Annotated[tuple[Count, ...], A_LIST, Field(min_length=2)]
FactorIndex = Annotated[int, Field(ge=0, lt=2**31)]


class InfomecContinuous(Spec):
    """InfoM, InfoE, InfoC of continuous codes, by 10 nearest neighbours (Hsu et al., 2023, arXiv:2305.18378).

    A code is active where its range is above a twentieth of the largest.
    """

    num_train: Count = 10000
    batch_size: Count = 16


class InfomecContinuousIqr(Spec):
    """InfoMEC by 10 nearest neighbours, as the authors' later code (Tripod) has it (arXiv:2305.18378).

    A code is active where its inter-quartile range is above a tenth of the largest.
    """

    num_train: Count = 10000
    batch_size: Count = 16


class InfomecDiscrete(Spec):
    """InfoM, InfoE, InfoC of codes that are classes: each value is one (Hsu et al., 2023, arXiv:2305.18378)."""

    num_train: Count = 10000
    batch_size: Count = 16


class InfomecBinned(Spec):
    """InfoMEC of codes cut into bins of equal width, then taken as classes (Hsu et al., 2023, arXiv:2305.18378)."""

    num_train: Count = 10000
    batch_size: Count = 16
    num_bins: Bins = 20


class InfomecTrainingKnn3(Spec):
    """Ratios and gaps of information by 3 nearest neighbours, as logged in training (arXiv:2305.18378).

    A code is active where its range is above an eighth of the largest.
    """

    num_train: Count = 10000
    batch_size: Count = 16


class InfomecTrainingBins(Spec):
    """Ratios and gaps of information of binned codes, as logged in training (arXiv:2305.18378).

    A code is active where its range is above an eighth of the largest.
    """

    num_train: Count = 10000
    batch_size: Count = 16
    num_bins: Bins = 20


class InfoeRegression(Spec):
    """R squared of linear regressions from all codes to each factor, in sample (arXiv:2305.18378)."""

    num_train: Count = 10000
    batch_size: Count = 16


class DciesForest(Spec):
    """DCI with explicitness and size, by random forests of growing depth (Eastwood et al., 2023, arXiv:2210.00364)."""

    num_train: Count = 10000
    num_test: Count = 5000
    batch_size: Count = 16
    num_trees: Count = 100
    max_depths: Depths = (1, 2, 3, 4, 8, 10, 12, 14, 16, 18, 20, 32)
    """Capacities of the probes, each once."""
    numeric_factors: Annotated[tuple[FactorIndex, ...], A_LIST] = ()
    """Factors that are predicted as numbers, by position from 0; the others are classes."""


class DciesForestCut(Spec):
    """As dcies_forest, by one forest for each factor, read at each depth: several times as fast (arXiv:2210.00364)."""

    num_train: Count = 10000
    num_test: Count = 5000
    batch_size: Count = 16
    num_trees: Count = 100
    max_depths: Depths = (1, 2, 3, 4, 8, 10, 12, 14, 16, 18, 20, 32)
    """Depths at which the forest is read, each once."""
    numeric_factors: Annotated[tuple[FactorIndex, ...], A_LIST] = ()
    """Factors that are predicted as numbers, by position from 0; the others are classes."""


class MccPearsonPlain(Spec):
    """Mean correlation coefficient: the best assignment of codes to factors, by Pearson correlation."""

    num_train: Count = 10000
    batch_size: Count = 16


class MccSpearmanPlain(Spec):
    """Mean correlation coefficient: the best assignment of codes to factors, by rank correlation."""

    num_train: Count = 10000
    batch_size: Count = 16


class MccPearsonNoiseRows(Spec):
    """MCC (Pearson) as SlowVAE computes it, with rows of noise beside the factors (arXiv:2007.10930)."""

    num_train: Count = 10000
    batch_size: Count = 16


class MccSpearmanNoiseRows(Spec):
    """MCC (Spearman) as SlowVAE computes it, with rows of noise beside the factors (arXiv:2007.10930)."""

    num_train: Count = 10000
    batch_size: Count = 16


class Med(Spec):
    """DCI's scores of the mutual information, also of the best codes alone (Cao et al., 2022, arXiv:2206.04756)."""

    num_train: Count = 10000
    num_test: Count = 10000
    batch_size: Count = 16
    num_bins: Bins = 20
    top_k: Count = 1
    """How many codes a factor keeps."""


class OmesAvg(Spec):
    """OMES with average pooling: overlap and multiple encoding (Dapueto et al., 2024, arXiv:2409.18017)."""

    num_pairs: AtLeastTwo = 2000
    """For each factor, pairs of points that differ in it alone."""
    num_train: AtLeastTwo = 10000
    """Points that say which codes are active."""
    alpha: Fraction = 0.5
    """Weight of overlap; the rest is multiple encoding's."""
    min_std: NonNegative = 0.05
    """Codes whose standard deviation is below this are not counted."""


class OmesMax(Spec):
    """OMES with maximum pooling: overlap and multiple encoding (Dapueto et al., 2024, arXiv:2409.18017)."""

    num_pairs: AtLeastTwo = 2000
    """For each factor, pairs of points that differ in it alone."""
    num_train: AtLeastTwo = 10000
    """Points that say which codes are active."""
    alpha: Fraction = 0.5
    """Weight of overlap; the rest is multiple encoding's."""
    min_std: NonNegative = 0.05
    """Codes whose standard deviation is below this are not counted."""


class ZMinVariance(Spec):
    """Z-min variance: votes of the code that varies least where one factor is fixed (review, arXiv:2012.09276)."""

    num_train: Count = 10000
    batch_size: Count = 16
    num_bins: Bins = 10
    """Factors are cut into bins too."""
    group_size: AtLeastTwo = 200
    """Points behind one vote."""
    num_train_votes: Count = 800
    num_eval_votes: Count = 800
    prune_threshold: NonNegative = 0.02
    """Codes whose standard deviation is below this do not vote."""


class ZMaxVariance(Spec):
    """Z-max variance: votes of the code that varies most where one factor alone varies (arXiv:1902.01568)."""

    num_train: Count = 10000
    batch_size: Count = 16
    num_bins: Bins = 10
    """Factors are cut into bins too."""
    group_size: AtLeastTwo = 200
    """Points behind one vote."""
    num_train_votes: Count = 800
    num_eval_votes: Count = 800
    prune_threshold: NonNegative = 0.02
    """Codes whose standard deviation is below this do not vote."""


class Migsup(Spec):
    """MIG-sup: the lead of each code's best factor, in units of entropy (Li et al., 2020, arXiv:2002.10549).

    The entropy is the factor's. Constant codes are left out."""

    num_train: Count = 10000
    batch_size: Count = 16
    num_bins: Bins = 20


class MigUbisoft(Spec):
    """MIG-RMIG of the review: MIG in units of the codes' entropy (Carbonneau et al., 2022, arXiv:2012.09276).

    RMIG (arXiv:1908.09961) of a deterministic encoder is mig; here the normaliser differs.
    """

    num_train: Count = 10000
    batch_size: Count = 16
    num_bins: Bins = 10
    continuous_factors: bool = True
    """Cut factors into bins too."""


class MigsupUbisoft(Spec):
    """MIG-sup of the review: in units of the codes' entropy (Carbonneau et al., 2022, arXiv:2012.09276)."""

    num_train: Count = 10000
    batch_size: Count = 16
    num_bins: Bins = 10
    continuous_factors: bool = True
    """Cut factors into bins too."""


class Jemmig(Spec):
    """JEMMIG of the review: MIG less the joint entropy of factor and code (Do and Tran, 2020, arXiv:1908.09961)."""

    num_train: Count = 10000
    batch_size: Count = 16
    num_bins: Bins = 10
    continuous_factors: bool = True
    """Cut factors into bins too."""


class Dcimig(Spec):
    """DCIMIG: gaps of the codes, the best one for each factor (Sepliarskaia et al., 2019, arXiv:1910.05587)."""

    num_train: Count = 10000
    batch_size: Count = 16
    num_bins: Bins = 10
    continuous_factors: bool = True
    """Cut factors into bins too."""


class ModularityUbisoft(Spec):
    """Modularity of the review: of binned codes and, by default, binned factors (arXiv:2012.09276)."""

    num_train: Count = 10000
    batch_size: Count = 16
    num_bins: Bins = 10
    continuous_factors: bool = True
    """Cut factors into bins too."""
