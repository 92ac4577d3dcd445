"""Resource names: `projects/{project}/trainingJobs/{training_job}` and the like: read strictly, written only here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from disentanglement.errors import SpecError
from disentanglement.specs import StepKey

SEGMENT = r"[A-Za-z0-9_](?:\.?[A-Za-z0-9_-]){0,99}"
LARGEST_NUMBER_DIGITS = 9

TRAINING_JOBS, REPRESENTATIONS, EVALUATIONS, STUDIES = "trainingJobs", "representations", "evaluations", "studies"
COLLECTIONS = {
    TRAINING_JOBS: "training_job",
    REPRESENTATIONS: "representation",
    EVALUATIONS: "evaluation",
    STUDIES: "study",
}


@dataclass(frozen=True, slots=True)
class ModelName:
    """A model of a study."""

    project: str
    study: str
    number: int

    def __str__(self) -> str:
        return f"projects/{self.project}/studies/{self.study}/models/{self.number}"


def project_of(parent: str, *, field: str = "parent") -> str:
    """`projects/{project}` -> project; SpecError naming the field otherwise."""
    match = re.fullmatch(rf"projects/({SEGMENT})", parent, re.ASCII)
    if match is None:
        raise SpecError.of(field, "projects/{project}", _shown(parent))
    return match[1]


def name_of(project: str, collection: str, member: object) -> str:
    """The name of a resource."""
    return f"projects/{project}/{collection}/{member}"


def parse_name(name: str, collection: str, *, field: str = "name") -> tuple[str, str]:
    """`projects/{project}/{collection}/{id}` -> (project, id); SpecError naming the field otherwise."""
    match = re.fullmatch(rf"projects/({SEGMENT})/{collection}/({SEGMENT})", name, re.ASCII)
    if match is None:
        raise SpecError.of(field, f"projects/{{project}}/{collection}/{{{COLLECTIONS[collection]}}}", _shown(name))
    return match[1], match[2]


def parse_step_name(name: str, collection: str, *, field: str = "name") -> tuple[str, StepKey]:
    """As `parse_name`, for resources that are named by a step key."""
    project, member = parse_name(name, collection, field=field)
    return project, parse_step_key(member, field=field)


def parse_step_key(text: str, *, field: str) -> StepKey:
    """A step key; SpecError naming the field otherwise."""
    try:
        return StepKey.parse(text)
    except SpecError as error:
        raise SpecError.of(field, error.violations[0].wanted, _shown(text)) from None


def parse_model_name(name: str, *, field: str = "name") -> ModelName:
    """`projects/{project}/studies/{study}/models/{number}`; SpecError naming the field otherwise."""
    pattern = rf"projects/({SEGMENT})/studies/({SEGMENT})/models/([0-9]{{1,{LARGEST_NUMBER_DIGITS}}})"
    match = re.fullmatch(pattern, name, re.ASCII)
    if match is None:
        raise SpecError.of(field, "projects/{project}/studies/{study}/models/{number}", _shown(name))
    return ModelName(match[1], match[2], int(match[3]))


def is_model_name(name: Any) -> bool:
    """Whether a name looks like that of a model of a study."""
    return "/models/" in name


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 120 else f"{text[:117]!r}..."
