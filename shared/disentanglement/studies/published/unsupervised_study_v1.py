"""`unsupervised_study_v1`: 12,600 models; `1800 d + 300 m + 50 h + s` is data set d, method m, strength h, seed s."""

from __future__ import annotations

from disentanglement.studies.published.study import BASE, METRICS, published_study, sweep_of

DATA_SETS = [
    "dsprites_full",
    "color_dsprites",
    "noisy_dsprites",
    "scream_dsprites",
    "smallnorb",
    "cars3d",
    "shapes3d",
]
SEEDS = 50

UNSUPERVISED_STUDY_V1 = published_study(
    "unsupervised_study_v1",
    "Challenging Common Assumptions in the Unsupervised Learning of Disentangled Representations "
    "(Locatello et al., 2019, arXiv:1811.12359)",
    model=BASE,
    grid=sweep_of(DATA_SETS, SEEDS),
    metrics=METRICS,
)
