"""`abstract_reasoning_study_v1`, stage 1: 360 representations; `180 d + 30 m + 5 h + s` as in the other studies."""

from __future__ import annotations

from disentanglement.studies.published.study import BASE, METRICS, published_study, sweep_of

ABSTRACT_REASONING_STUDY_V1 = published_study(
    "abstract_reasoning_study_v1",
    "Are Disentangled Representations Helpful for Abstract Visual Reasoning? "
    "(van Steenkiste et al., 2019, arXiv:1905.12506), stage 1",
    model=BASE,
    grid=sweep_of(["shapes3d", "abstract_dsprites"], 5),
    metrics=METRICS,
)
