"""Study resources: read, checked, and written as a client applies them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from disentanglement.cluster.names import format_numbers, job_name, project_of, resource_name, store_name
from disentanglement.cluster.resource import StudyResource, metric_line
from disentanglement.cluster.settings import ControllerSettings
from disentanglement.errors import SpecError
from disentanglement.steps.one_shot import parse_numbers

STUDIES = sorted((Path(__file__).parents[3] / "k8s" / "studies").rglob("*.yaml"))
INLINE = {"model": {"dataset": "dsprites_full", "objective": {"beta_vae": {"beta": 4}}}, "representations": ["mean"]}


def resource(name: str = "quick-start", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "disentanglement"}
    return {"apiVersion": "disentanglement.dev/v1alpha1", "kind": "Study", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_studies_to_apply_are_studies(path: Path) -> None:
    items = [item for item in yaml.safe_load_all(path.read_text()) if item and item["kind"] == "Study"]
    for item in items:
        assert StudyResource.from_object(item).to_object()["spec"] == item["spec"]


def test_what_is_at_its_default_is_not_sent() -> None:
    item = resource(study="test", parallelism=8, paused=False, metrics=["mig"])
    assert StudyResource.from_object(item).to_object()["spec"] == {"study": "test", "metrics": ["mig"]}


def test_a_metric_is_a_name_a_line_or_an_object() -> None:
    read = StudyResource.from_object(resource(study="test", metrics=["mig", "dci: {num_train: 10}", {"irs": {}}]))
    assert read.spec.metrics == ("mig", {"dci": {"num_train": 10}}, {"irs": {}})
    assert read.to_object()["spec"]["metrics"] == ["mig", 'dci: {"num_train": 10}', "irs"]
    assert StudyResource.from_object(read.to_object()).spec.metrics == ("mig", {"dci": {"num_train": 10}}, "irs")
    assert metric_line({"dci": {"num_train": 10}}) == 'dci: {"num_train": 10}'


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "spec: wanted exactly one of study, inline"),
        ({"study": "test", "inline": INLINE}, "spec: wanted exactly one of study, inline"),
        ({"study": "test", "parallelism": 0}, "spec.parallelism: wanted greater than or equal to 1, got 0"),
        ({"study": "test", "paralelism": 2}, "spec.paralelism: wanted a known field"),
        ({"study": "test", "retention": {"codes": "drop"}}, "spec.retention.codes: wanted 'keep' or 'untilScored'"),
        ({"study": "test", "selection": {"models": "a"}}, "spec.selection.models: wanted match pattern"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        StudyResource.from_object(resource(**spec))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", ["Quick", "1st", "a.b", "a-", "", "a" * 53])
def test_a_study_is_named_so_that_its_jobs_can_be(name: str) -> None:
    with pytest.raises(SpecError, match=r"metadata\.name: wanted at most 52 small letters"):
        StudyResource.from_object(resource(name, study="test"))


def test_what_is_no_study_is_refused() -> None:
    with pytest.raises(SpecError, match=r"kind: wanted disentanglement\.dev/v1alpha1 Study, got v1 Pod"):
        StudyResource.from_object({"apiVersion": "v1", "kind": "Pod"})


def test_names_in_the_store_and_in_a_cluster() -> None:
    assert store_name("quick-start") == "quick_start"
    assert resource_name("unsupervised_study_v1") == "unsupervised-study-v1"
    assert project_of("disentanglement", "disentanglement") == "default"
    assert project_of("team-a", "disentanglement") == "team_a"
    assert project_of("default", "default") == "default"


def test_no_other_namespace_has_the_project_of_our_own() -> None:
    with pytest.raises(SpecError, match=r"namespace: wanted any but `default`, .* disentanglement, got default"):
        project_of("default", "disentanglement")


def test_a_controller_is_not_started_for_namespaces_whose_studies_would_be_mixed() -> None:
    settings = ControllerSettings.from_env({"DISENTANGLEMENT_NAMESPACES": "disentanglement, default"})
    with pytest.raises(SpecError, match=r"DISENTANGLEMENT_NAMESPACES: wanted any but `default`"):
        settings.watched("disentanglement")
    assert settings.watched("default") == ("disentanglement", "default")
    assert ControllerSettings.from_env({}).watched("default") == ("default",)


def test_a_job_is_named_after_its_work_alone() -> None:
    names = {
        job_name(study, cell, step, identity)
        for study in ("a", "a" * 52)
        for cell in ("dsprites_full.beta_vae", "x" * 60 + ".y")
        for step in ("train", "postprocess", "evaluate")
        for identity in ((1, 2), (12,))
    }
    assert len(names) == 24
    for name in names:
        assert len(f"{name}-499") <= 63
        assert name.replace("-", "a").isalnum()
        assert name == name.lower()
        assert name[0].isalpha()
        assert name[-1].isalnum()


def test_numbers_are_written_as_ranges() -> None:
    assert format_numbers((0, 1, 2, 5, 7, 8)) == "0-2,5,7-8"
    assert parse_numbers(format_numbers(tuple(range(300)))) == tuple(range(300))
