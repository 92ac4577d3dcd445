"""The published JSON Schema of study files: editors complete and check them with it."""

from __future__ import annotations

import json
from typing import Any

from disentanglement.specs.study import StudySpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def study_schema() -> dict[str, Any]:
    """JSON Schema of a study file."""
    return {"$schema": DIALECT, **StudySpec.model_json_schema(mode="validation")}


def study_schema_text() -> str:
    """As it is published in `docs/schema/study.schema.json`."""
    return json.dumps(study_schema(), indent=2) + "\n"
