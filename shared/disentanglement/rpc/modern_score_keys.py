"""The keys of the scores of the metrics since the reference's."""

from __future__ import annotations

_INFOMEC = ("infom", "infoe", "infoc", "num_active_codes")
_TRAINING = ("modularity_ratio", "modularity_gap", "compactness_ratio", "compactness_gap", "num_active_codes")

MODERN_SCORE_KEYS: dict[str, tuple[str, ...]] = {
    "infomec_continuous": (*_INFOMEC, "num_repeating_codes"),
    "infomec_continuous_iqr": (*_INFOMEC, "num_repeating_codes"),
    "infomec_discrete": _INFOMEC,
    "infomec_binned": _INFOMEC,
    "infomec_training_knn3": _TRAINING,
    "infomec_training_bins": _TRAINING,
    "infoe_regression": ("explicitness_regression",),
    "migsup": ("mig_sup", "num_constant_codes"),
    "mig_ubisoft": ("mig_rmig", "num_constant_codes"),
    "migsup_ubisoft": ("mig_sup", "num_constant_codes"),
    "jemmig": ("jemmig",),
    "dcimig": ("dcimig",),
    "modularity_ubisoft": ("modularity_score", "num_constant_codes"),
}
