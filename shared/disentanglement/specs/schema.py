"""The published JSON Schema of study files: editors complete and check them with it."""

from __future__ import annotations

import json
from typing import Any

from disentanglement.specs.study import StudySpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"


METRICS_OF_A_STUDY = {
    "type": "string",
    "pattern": "^[a-z][a-z0-9_]*_study_v[0-9]+$",
    "description": "All metrics of a published study, e.g. unsupervised_study_v1, with its seeds.",
}


def study_schema() -> dict[str, Any]:
    """JSON Schema of a study file."""
    schema = StudySpec.model_json_schema(mode="validation")
    metrics = schema["properties"]["metrics"]
    metrics["items"] = {"anyOf": [metrics["items"], METRICS_OF_A_STUDY]}
    return {"$schema": DIALECT, **schema}


def study_schema_text() -> str:
    """As it is published in `docs/schema/study.schema.json`."""
    return json.dumps(study_schema(), indent=2) + "\n"
