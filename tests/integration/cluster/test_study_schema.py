"""What the API server itself accepts and refuses of a Study: nothing of ours runs but the resource definition."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube.control_plane import ControlPlane
from kwok.cluster import study_object
from kwok.controller_process import REPOSITORY

PUBLISHED_WITHIN_S = 30.0
POLL_EVERY_S = 0.5
STUDIES = sorted((REPOSITORY / "k8s" / "studies").rglob("*.yaml"))
GOOD: dict[str, Any] = {"study": "unsupervised_study_v1", "selection": {"models": "0-9"}, "metrics": ["mig"]}
INLINE: dict[str, Any] = {
    "model": {"dataset": "dsprites_full", "objective": {"beta_vae": {"beta": 4}}},
    "grid": {"sweep": {"random_seed": [0, 1]}},
    "representations": ["mean"],
}

BAD = {
    "both study and inline": (GOOD | {"inline": INLINE}, "exactly one of study and inline"),
    "neither study nor inline": ({"metrics": ["mig"]}, "exactly one of study and inline"),
    "an unknown field": (GOOD | {"paralelism": 3}, ".spec.paralelism: field not declared"),
    "a grid without a word on metrics": ({"inline": INLINE}, "metrics is needed with inline"),
    "no pods at all": (GOOD | {"parallelism": 0}, "spec.parallelism"),
    "too many pods": (GOOD | {"parallelism": 100_000}, "spec.parallelism"),
    "a negative pack": (GOOD | {"modelsPerPod": -1}, "spec.modelsPerPod"),
    "numbers that are none": (GOOD | {"selection": {"models": "0..9"}}, "spec.selection.models"),
    "a retention that is none": (GOOD | {"retention": {"codes": "forever"}}, "spec.retention.codes"),
    "a study's name with capitals": (GOOD | {"study": "Unsupervised"}, "spec.study"),
    "text for a number": (GOOD | {"parallelism": "eight"}, "spec.parallelism"),
    "a pool that is no name": (GOOD | {"pool": "GPU pool"}, "spec.pool"),
}
IMMUTABLE = {
    "study": "fairness_study_v1",
    "set": {"training_steps": 10},
    "selection": {"models": "0-19"},
    "modelsPerPod": 4,
    "pool": "cpu",
    "evaluationPool": "gpu",
    "queue": "mine",
    "retention": {"finishedJobsSeconds": 60},
}
MUTABLE = {
    "paused": True,
    "parallelism": 16,
    "priorityClass": "low",
    "metrics": ["mig", "dci: {num_train: 1000}"],
    "retryGeneration": 2,
}


def apply(plane: ControlPlane, name: str, spec: dict[str, Any]) -> str:
    return plane.kubectl("apply", "--server-side", "-f", "-", input=yaml.safe_dump(study_object(name, spec, "default")))


def patch(plane: ControlPlane, name: str, **spec: Any) -> str:
    words = ("patch", "study", name, "--namespace=default", "--type=merge", f"--patch={yaml.safe_dump({'spec': spec})}")
    return plane.kubectl(*words)


@pytest.fixture
def applied(plane: ControlPlane) -> str:
    """The name of a good Study with retryGeneration 1."""
    name = f"good-{secrets.token_hex(4)}"
    apply(plane, name, GOOD | {"retryGeneration": 1})
    return name


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_the_studies_that_we_ship_are_accepted(plane: ControlPlane, path: Path) -> None:
    assert "serverside-applied" in plane.kubectl("apply", "--server-side", "--dry-run=server", "-f", str(path))


def test_an_inline_study_is_accepted_as_it_was_written(plane: ControlPlane) -> None:
    apply(plane, "inline", {"inline": INLINE, "metrics": []})
    stored = yaml.safe_load(plane.kubectl("get", "study", "inline", "--namespace=default", "-o", "yaml"))
    assert stored["spec"]["inline"] == INLINE
    assert stored["spec"]["parallelism"] == 8


@pytest.mark.parametrize("case", BAD)
def test_a_study_with_a_mistake_is_refused_by_the_name_of_its_field(plane: ControlPlane, case: str) -> None:
    spec, told = BAD[case]
    with pytest.raises(RuntimeError) as refused:
        apply(plane, "bad", spec)
    assert told in str(refused.value)


def test_a_name_that_no_job_could_bear_is_refused(plane: ControlPlane) -> None:
    with pytest.raises(RuntimeError, match=r"metadata\.name"):
        apply(plane, "a" * 53, GOOD)


@pytest.mark.parametrize("field", IMMUTABLE)
def test_what_decides_results_cannot_be_changed(plane: ControlPlane, applied: str, field: str) -> None:
    with pytest.raises(RuntimeError) as refused:
        patch(plane, applied, **{field: IMMUTABLE[field]})
    assert f"spec: Invalid value: {field} can not be changed" in str(refused.value)


@pytest.mark.parametrize("field", MUTABLE)
def test_how_it_is_worked_off_can_be_changed(plane: ControlPlane, applied: str, field: str) -> None:
    assert "patched" in patch(plane, applied, **{field: MUTABLE[field]})


def test_metrics_only_grow(plane: ControlPlane, applied: str) -> None:
    patch(plane, applied, metrics=["mig", "sap_score"])
    with pytest.raises(RuntimeError, match=r"metrics may only grow; .*delete the Study and apply it again"):
        patch(plane, applied, metrics=["sap_score"])


def test_the_generation_of_retries_only_rises(plane: ControlPlane, applied: str) -> None:
    with pytest.raises(RuntimeError, match="retryGeneration"):
        patch(plane, applied, retryGeneration=0)


def test_the_status_is_not_written_with_the_spec(plane: ControlPlane, applied: str) -> None:
    patched = plane.kubectl(
        "patch", "study", applied, "--namespace=default", "--type=merge", '--patch={"status": {"phase": "Succeeded"}}'
    )
    assert "no change" in patched or "patched" in patched
    assert not plane.kubectl("get", "study", applied, "--namespace=default", "-o", "jsonpath={.status.phase}")


def test_a_status_that_we_would_never_write_is_refused(plane: ControlPlane, applied: str) -> None:
    words = ("patch", "study", applied, "--namespace=default", "--subresource=status", "--type=merge")
    with pytest.raises(RuntimeError, match=r"status\.phase"):
        plane.kubectl(*words, '--patch={"status": {"phase": "Dancing"}}')


def test_kubectl_get_shows_how_far_a_study_is(plane: ControlPlane, applied: str) -> None:
    header = plane.kubectl("get", "studies", "--namespace=default").splitlines()[0].split()
    assert header == ["NAME", "TOTAL", "TRAINED", "EVALUATED", "FAILED", "PHASE", "AGE"]


def test_kubectl_explain_tells_what_each_field_is_for(plane: ControlPlane) -> None:
    deadline = time.monotonic() + PUBLISHED_WITHIN_S
    while "FIELDS:" not in (told := plane.kubectl("explain", "studies.spec")):  # schemas are published a moment later
        assert time.monotonic() < deadline, told
        time.sleep(POLL_EVERY_S)
    for field in (*IMMUTABLE, *MUTABLE, "inline"):
        assert f"\n  {field}\t<" in told
    assert "<no description>" not in told
