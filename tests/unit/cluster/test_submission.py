"""A study as a resource: written so that the controller reads back the same study."""

from __future__ import annotations

from typing import Any

import pytest
import tiny_steps

from disentanglement.cluster.expansion import study_spec
from disentanglement.cluster.resource import StudyResource
from disentanglement.cluster.submission import changed, resource_of, resource_spec, study_resource
from disentanglement.errors import SpecError
from disentanglement.specs import StudySpec, canonical
from disentanglement.studies.published import STUDIES


def there_and_back(study: StudySpec) -> StudySpec:
    item = study_resource(study.name, resource_spec(study))
    return study_spec(StudyResource.from_object(item))


def published(study: str, /, **changes: Any) -> StudySpec:
    return STUDIES[study].spec.replace(**changes)


CASES = {
    "a grid": tiny_steps.study(),
    "without metrics": tiny_steps.study(metrics=[]),
    "with changes and a selection": tiny_steps.study(changes={"training_steps": 7}, selection={"seeds": "0"}),
    "published": published("unsupervised_study_v1"),
    "part of a published one": published(
        "fairness_study_v1", name="part", selection={"models": "0-9"}, changes={"training_steps": 7}
    ),
    "a published one with one metric": published("unsupervised_study_v1", metrics=("mig",)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_controller_reads_the_same_study(case: str) -> None:
    assert canonical(there_and_back(CASES[case])) == canonical(CASES[case])


@pytest.mark.parametrize("name", STUDIES)
def test_a_published_study_goes_by_its_name(name: str) -> None:
    spec = resource_spec(published(name, name="mine", changes={"training_steps": 7}, selection={"models": "0"}))
    assert spec["study"] == name
    assert spec["set"] == {"training_steps": 7}
    assert spec["selection"] == {"models": "0"}
    assert "inline" not in spec


def test_another_grid_is_written_out() -> None:
    spec = resource_spec(published("test", evaluation_seed=99))
    assert "study" not in spec


def test_a_study_file_keeps_the_words_of_its_author() -> None:
    item = resource_of({**tiny_steps.STUDY, "changes": {"training_steps": 7}})
    assert item["metadata"] == {"name": "tiny"}
    assert item["spec"]["inline"]["model"] == tiny_steps.STUDY["model"] | {"dataset": {"name": "dummy_data"}}
    assert item["spec"]["set"] == {"training_steps": 7}


def test_what_a_command_adds_is_checked_with_the_rest() -> None:
    item = resource_of(tiny_steps.STUDY)
    assert changed(item, {"parallelism": 3, "pool": None, "set": {}})["spec"]["parallelism"] == 3
    with pytest.raises(SpecError, match=r"spec\.parallelism"):
        changed(item, {"parallelism": -3})


@pytest.mark.parametrize(
    ("name", "says"), [("tiny_", "no `-` last"), ("a" * 53, "at most 52"), ("Tiny", "small letters")]
)
def test_a_name_that_no_resource_can_have_is_refused(name: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        study_resource(name, {"study": "test"})
