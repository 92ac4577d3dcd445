"""The metrics since the reference's, by their words."""

from __future__ import annotations

from disentanglement.metrics import infomec, infomec_training, review_scores
from disentanglement.metrics.dcimig import METRIC as DCIMIG
from disentanglement.metrics.jemmig import METRIC as JEMMIG
from disentanglement.metrics.metric import Metric
from disentanglement.metrics.migsup import METRIC as MIGSUP

MODERN_METRICS: dict[str, Metric] = {
    "infomec_continuous": infomec.CONTINUOUS,
    "infomec_continuous_iqr": infomec.CONTINUOUS_IQR,
    "infomec_discrete": infomec.DISCRETE,
    "infomec_binned": infomec.BINNED,
    "infomec_training_knn3": infomec_training.KNN3,
    "infomec_training_bins": infomec_training.BINS,
    "infoe_regression": infomec_training.REGRESSION,
    "migsup": MIGSUP,
    "mig_ubisoft": review_scores.MIG,
    "migsup_ubisoft": review_scores.MIGSUP,
    "jemmig": JEMMIG,
    "dcimig": DCIMIG,
    "modularity_ubisoft": review_scores.MODULARITY,
}
