"""The metrics since the reference's, by their words."""

from __future__ import annotations

from disentanglement.metrics.metric import Metric
from disentanglement.metrics.scores import dci_es, infomec, infomec_training, mcc, omes, review_scores, z_variance
from disentanglement.metrics.scores.dcimig import METRIC as DCIMIG
from disentanglement.metrics.scores.jemmig import METRIC as JEMMIG
from disentanglement.metrics.scores.med import METRIC as MED
from disentanglement.metrics.scores.migsup import METRIC as MIGSUP

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
    "dcies_forest": dci_es.GROWN,
    "dcies_forest_cut": dci_es.CUT,
    "med": MED,
    "mcc_pearson_plain": mcc.PEARSON_PLAIN,
    "mcc_spearman_plain": mcc.SPEARMAN_PLAIN,
    "mcc_pearson_noise_rows": mcc.PEARSON_NOISE_ROWS,
    "mcc_spearman_noise_rows": mcc.SPEARMAN_NOISE_ROWS,
    "omes_avg": omes.AVG,
    "omes_max": omes.MAX,
    "z_min_variance": z_variance.MIN,
    "z_max_variance": z_variance.MAX,
}
