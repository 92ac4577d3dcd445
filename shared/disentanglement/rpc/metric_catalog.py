"""The metrics that the protocol knows, described for clients."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import PydanticUndefined

from disentanglement.metrics.catalog import METRICS
from disentanglement.metrics.metric import Needs
from disentanglement.metrics.scores.unified_scores import ALL_MATRICES
from disentanglement.rpc.modern_score_keys import MODERN_SCORE_KEYS
from disentanglement.specs import MetricSpec, Spec
from disentanglement.specs.canonical import contract_version
from disentanglement.v1 import metric_pb2

NEEDS = {
    Needs.POINTS: metric_pb2.METRIC_NEEDS_POINTS,
    Needs.HELD_OUT_POINTS: metric_pb2.METRIC_NEEDS_HELD_OUT_POINTS,
    Needs.FIXED_FACTORS: metric_pb2.METRIC_NEEDS_FIXED_FACTORS,
}
UNIFIED_KEYS = tuple(
    f"{matrix}.{key}"
    for matrix in ALL_MATRICES
    for key in (
        "area_precision",
        "max_precision",
        "dci_disentanglement",
        "dci",
        "dci_completeness",
        "mig",
        "sap",
        "modularity",
    )
)
"""Those of the whole representation; single codes and factors have keys of their own."""
DCI_KEYS = ("informativeness_train", "informativeness_test", "disentanglement", "completeness")
FAIRNESS_KEYS = tuple(
    f"{kind}_fairness:{outer}:{inner}"
    for kind in ("mean", "max")
    for ways in (("sens", "pred"), ("pred", "sens"))
    for outer in (f"mean_{ways[0]}", f"max_{ways[0]}")
    for inner in (f"mean_{ways[1]}", f"max_{ways[1]}")
)
"""Those over all pairs of factors; single factors and pairs have keys of their own."""
SCORE_KEYS = {
    "fairness": FAIRNESS_KEYS,
    "mig": ("discrete_mig",),
    "mig_validation": ("discrete_mig",),
    "sap_score_validation": ("SAP_score",),
    "dci_validation": DCI_KEYS,
    "unified_scores": UNIFIED_KEYS,
    "unified_score_validation": UNIFIED_KEYS,
    "sap_score": ("SAP_score",),
    "factor_vae_score": ("train_accuracy", "eval_accuracy", "num_active_dims"),
    "dci": DCI_KEYS,
    "beta_vae_sklearn": ("train_accuracy", "eval_accuracy"),
    "modularity_explicitness": ("modularity_score", "explicitness_score_train", "explicitness_score_test"),
    "irs": ("IRS", "num_active_dims", "num_active_codes"),
    "unsupervised_metrics": (
        "gaussian_total_correlation",
        "gaussian_wasserstein_correlation",
        "gaussian_wasserstein_correlation_norm",
        "mutual_info_score",
    ),
    **MODERN_SCORE_KEYS,
}


def known_metrics() -> list[str]:
    """Words of the metrics, in the order of their specs; a user's own are not listed."""
    return [word for word in MetricSpec.model_fields if word != "plugin"]


def describe(word: str) -> metric_pb2.Metric:
    """One metric."""
    kind = spec_type(word)
    text = (kind.__doc__ or "").strip()
    source = re.search(r"arXiv:[0-9.]*[0-9]", text)
    message = metric_pb2.Metric(
        name=word,
        description=text,
        source=source[0] if source else "",
        score_keys=SCORE_KEYS.get(word, ()),
        contract_version=contract_version("evaluate", word),
        available=word in METRICS,
    )
    if word in METRICS:
        message.needs = NEEDS[METRICS[word].needs]
    message.parameters.update({name: _default(kind, name) for name in kind.model_fields})
    return message


def spec_type(word: str) -> type[Spec]:
    """The type of a metric's parameters."""
    annotation: Any = MetricSpec.model_fields[word].annotation
    kind: type[Spec] = next(member for member in annotation.__args__ if member is not type(None))
    return kind


def _default(kind: type[Spec], name: str) -> Any:
    default = kind.model_fields[name].get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined:
        return None
    if isinstance(default, Spec):
        return default.model_dump(mode="json", exclude_none=True)
    return list(default) if isinstance(default, tuple) else default
