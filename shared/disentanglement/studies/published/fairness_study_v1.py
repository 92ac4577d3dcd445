"""`fairness_study_v1`: the models of `unsupervised_study_v1`, scored with one metric more."""

from __future__ import annotations

from disentanglement.studies.published.study import BASE, METRICS, published_study, sweep_of
from disentanglement.studies.published.unsupervised_study_v1 import DATA_SETS, SEEDS

FAIRNESS_STUDY_V1 = published_study(
    "fairness_study_v1",
    "On the Fairness of Disentangled Representations (Locatello et al., 2019, arXiv:1905.13662)",
    model=BASE,
    grid=sweep_of(DATA_SETS, SEEDS),
    metrics={**METRICS, "fairness": "fairness"},
)
