"""What is scored: one type per metric. Defaults are those of the reference's published studies."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from disentanglement.specs import modern_metrics as modern
from disentanglement.specs.base import A_LIST, AtLeastTwo, Bins, Count, Fraction, NonNegative, OneOf, Plugin, Spec
from disentanglement.specs.supervision import PERFECT_LABELLER, LabellerSpec

TrainSizes = Annotated[tuple[Count, ...], A_LIST, Field(min_length=1)]


class LogisticRegressionCv(Spec):
    """Cross-validated logistic regression."""


class GradientBoostingClassifier(Spec):
    """Exact gradient-boosted trees with scikit-learn's defaults."""


class HistogramGradientBoostingClassifier(Spec):
    """Gradient-boosted trees on binned codes, with the defaults of scikit-learn's: other scores than exact trees."""


class PredictorSpec(OneOf):
    """Which classifier predicts factors from codes."""

    logistic_regression_cv: LogisticRegressionCv | None = None
    gradient_boosting_classifier: GradientBoostingClassifier | None = None
    histogram_gradient_boosting_classifier: HistogramGradientBoostingClassifier | None = None
    plugin: Plugin | None = None


BOOSTED_TREES = PredictorSpec(gradient_boosting_classifier=GradientBoostingClassifier())


class BetaVaeSklearn(Spec):
    """BetaVAE score (Higgins et al., 2017)."""

    num_train: Count = 10000
    num_eval: Count = 5000
    batch_size: Count = 64


class FactorVaeScore(Spec):
    """FactorVAE score (Kim and Mnih, 2018, arXiv:1802.05983)."""

    num_train: Count = 10000
    num_eval: Count = 5000
    num_variance_estimate: AtLeastTwo = 10000
    batch_size: AtLeastTwo = 64
    prune_threshold: NonNegative = 0.05
    """Codes whose standard deviation is below this do not vote."""


class Mig(Spec):
    """Mutual information gap (Chen et al., 2018, arXiv:1802.04942)."""

    num_train: Count = 10000
    batch_size: Count = 16
    num_bins: Bins = 20


class SapScore(Spec):
    """Separated attribute predictability (Kumar et al., 2018, arXiv:1711.00848)."""

    num_train: Count = 10000
    num_test: Count = 5000
    batch_size: Count = 16
    continuous_factors: bool = False


class Dci(Spec):
    """Disentanglement, completeness, informativeness (Eastwood and Williams, 2018)."""

    num_train: Count = 10000
    num_test: Count = 5000
    batch_size: Count = 16


class ModularityExplicitness(Spec):
    """Modularity and explicitness (Ridgeway and Mozer, 2018, arXiv:1802.05312)."""

    num_train: Count = 10000
    num_test: Count = 5000
    batch_size: Count = 16
    num_bins: Bins = 20


class Irs(Spec):
    """Interventional robustness (Suter et al., 2019, arXiv:1811.00007)."""

    num_train: Count = 10000
    batch_size: Count = 16
    num_bins: Bins = 20
    diff_quantile: Fraction = 0.99


class UnsupervisedMetrics(Spec):
    """Total correlation, Wasserstein correlation and mutual information of the codes."""

    num_train: Count = 10000
    batch_size: Count = 16
    num_bins: Bins = 20


class DownstreamTask(Spec):
    """Accuracy of predicting factors from codes, for several training sizes."""

    num_train: TrainSizes = (10, 100, 1000, 10000)
    num_test: Count = 5000
    batch_size: Count = 16
    predictor: PredictorSpec = BOOSTED_TREES


class ReducedDownstreamTask(Spec):
    """Downstream accuracy after removing the codes most informative of one factor."""

    num_train: TrainSizes
    num_test: Count
    num_factors_to_remove: Count
    batch_size: Count = 16
    predictor: PredictorSpec = BOOSTED_TREES


class StrongDownstreamTask(Spec):
    """Downstream accuracy under a shift of one other factor."""

    num_train: TrainSizes
    num_test: Count
    n_experiment: Count
    predictor: PredictorSpec = BOOSTED_TREES


RelationMatrix = Literal["importance_gbt_matrix", "mutual_information_matrix", "accuracy_svm_matrix"]
RelationMatrices = Annotated[tuple[RelationMatrix, ...], A_LIST, Field(min_length=1)]


class UnifiedScores(Spec):
    """All aggregations of several code-factor matrices."""

    num_train: Count = 10000
    num_test: Count = 5000
    matrix_fns: RelationMatrices = ("importance_gbt_matrix", "mutual_information_matrix", "accuracy_svm_matrix")
    batch_size: Count = 16
    num_bins: Bins = 20


class Fairness(Spec):
    """Unfairness of predictions over sensitive factors (Locatello et al., 2019, arXiv:1905.13662)."""

    num_train: Count = 10000
    num_test_points_per_class: Count = 100
    batch_size: Count = 16
    predictor: PredictorSpec = BOOSTED_TREES


class MigValidation(Spec):
    """MIG on a fixed labelled sample."""

    num_labelled_samples: Count
    labeller: LabellerSpec = PERFECT_LABELLER
    batch_size: Count = 100
    num_bins: Bins = 20


class SapScoreValidation(Spec):
    """SAP on a fixed labelled sample."""

    num_labelled_samples: Count
    train_percentage: Fraction
    labeller: LabellerSpec = PERFECT_LABELLER
    batch_size: Count = 100
    continuous_factors: bool = False


class DciValidation(Spec):
    """DCI on a fixed labelled sample."""

    num_labelled_samples: Count
    train_percentage: Fraction
    labeller: LabellerSpec = PERFECT_LABELLER
    batch_size: Count = 100


class UnifiedScoreValidation(Spec):
    """Unified scores on a fixed labelled sample."""

    num_labelled_samples: Count
    train_percentage: Fraction
    labeller: LabellerSpec = PERFECT_LABELLER
    matrix_fns: RelationMatrices = ("importance_gbt_matrix", "mutual_information_matrix", "accuracy_svm_matrix")
    batch_size: Count = 100
    num_bins: Bins = 20


class MetricSpec(OneOf):
    """One metric and its parameters."""

    beta_vae_sklearn: BetaVaeSklearn | None = None
    factor_vae_score: FactorVaeScore | None = None
    mig: Mig | None = None
    sap_score: SapScore | None = None
    dci: Dci | None = None
    modularity_explicitness: ModularityExplicitness | None = None
    irs: Irs | None = None
    unsupervised_metrics: UnsupervisedMetrics | None = None
    downstream_task: DownstreamTask | None = None
    reduced_downstream_task: ReducedDownstreamTask | None = None
    strong_downstream_task: StrongDownstreamTask | None = None
    unified_scores: UnifiedScores | None = None
    fairness: Fairness | None = None
    mig_validation: MigValidation | None = None
    sap_score_validation: SapScoreValidation | None = None
    dci_validation: DciValidation | None = None
    unified_score_validation: UnifiedScoreValidation | None = None
    infomec_continuous: modern.InfomecContinuous | None = None
    infomec_continuous_iqr: modern.InfomecContinuousIqr | None = None
    infomec_discrete: modern.InfomecDiscrete | None = None
    infomec_binned: modern.InfomecBinned | None = None
    infomec_training_knn3: modern.InfomecTrainingKnn3 | None = None
    infomec_training_bins: modern.InfomecTrainingBins | None = None
    infoe_regression: modern.InfoeRegression | None = None
    dcies_forest: modern.DciesForest | None = None
    mcc_pearson_plain: modern.MccPearsonPlain | None = None
    mcc_spearman_plain: modern.MccSpearmanPlain | None = None
    mcc_pearson_noise_rows: modern.MccPearsonNoiseRows | None = None
    mcc_spearman_noise_rows: modern.MccSpearmanNoiseRows | None = None
    med: modern.Med | None = None
    omes_avg: modern.OmesAvg | None = None
    omes_max: modern.OmesMax | None = None
    z_min_variance: modern.ZMinVariance | None = None
    z_max_variance: modern.ZMaxVariance | None = None
    migsup: modern.Migsup | None = None
    mig_ubisoft: modern.MigUbisoft | None = None
    migsup_ubisoft: modern.MigsupUbisoft | None = None
    jemmig: modern.Jemmig | None = None
    dcimig: modern.Dcimig | None = None
    modularity_ubisoft: modern.ModularityUbisoft | None = None
    dcies_forest_cut: modern.DciesForestCut | None = None
    plugin: Plugin | None = None
