"""The studies that were published with the reference, as plans of this project: one module each."""

from __future__ import annotations

from collections.abc import Mapping

from disentanglement.errors import SpecError
from disentanglement.specs import StudySpec
from disentanglement.studies.published.abstract_reasoning_study_v1 import ABSTRACT_REASONING_STUDY_V1
from disentanglement.studies.published.fairness_study_v1 import FAIRNESS_STUDY_V1
from disentanglement.studies.published.smoke_study import SMOKE_STUDY
from disentanglement.studies.published.study import PublishedStudy
from disentanglement.studies.published.unsupervised_study_v1 import UNSUPERVISED_STUDY_V1

STUDIES: Mapping[str, PublishedStudy] = {
    "unsupervised_study_v1": UNSUPERVISED_STUDY_V1,
    "fairness_study_v1": FAIRNESS_STUDY_V1,
    "abstract_reasoning_study_v1": ABSTRACT_REASONING_STUDY_V1,
    "test": SMOKE_STUDY,
}


def published(name: str) -> StudySpec:
    """A published study, whole; `SpecError` where there is none of this name."""
    return study_spec(name)


def study_spec(name: str, *, field: str = "study") -> StudySpec:
    """A published study, whole.

    Raises:
        SpecError: there is none of this name.
    """
    if name not in STUDIES:
        raise SpecError.of(field, f"a published study ({', '.join(STUDIES)})", name)
    return STUDIES[name].spec
