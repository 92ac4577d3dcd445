"""The keys of the scores of the metrics since the reference's."""

from __future__ import annotations

_INFOMEC = ("infom", "infoe", "infoc", "num_active_codes")
_TRAINING = ("modularity_ratio", "modularity_gap", "compactness_ratio", "compactness_gap", "num_active_codes")
_DCIES = ("disentanglement", "completeness", "informativeness", "explicitness", "size", "best_depth")
_MCC = ("meanabscorr", "num_constant_codes")
_OMES = ("omes", "overlap", "multiple_encoding", "num_active_codes")
_Z_VARIANCE = ("train_accuracy", "eval_accuracy", "num_active_codes")

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
    "dcies_forest": _DCIES,
    "dcies_forest_cut": _DCIES,
    "med": (
        "disentanglement",
        "completeness",
        "top1_disentanglement",  # with another `top_k` its number is in the key
        "top1_completeness",
        "informativeness_train",
        "informativeness_test",
    ),
    "mcc_pearson_plain": _MCC,
    "mcc_spearman_plain": _MCC,
    "mcc_pearson_noise_rows": _MCC,
    "mcc_spearman_noise_rows": _MCC,
    "omes_avg": _OMES,
    "omes_max": _OMES,
    "z_min_variance": _Z_VARIANCE,
    "z_max_variance": _Z_VARIANCE,
}
