"""What the scale test chooses, reads from pods and measures, without a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kwok.catalogue import data_set_names, put_cards
from kwok.controller_process import POOLS
from kwok.figures import Durations, requests_of
from kwok.outcomes import Expected, Fate, expected, fate
from kwok.troubles import share_done
from kwok.writer import INDEX, TRIES, Work

from disentanglement.cluster.actions import CreateJob
from disentanglement.cluster.manifests import JobSettings, Owner, job_manifest
from disentanglement.cluster.pools import Pools
from disentanglement.specs import Step
from disentanglement.storage.data_sets import data_set_digests
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies.published import study_spec

STEPS: tuple[Step, ...] = ("train", "postprocess", "evaluate")


def pod_of(job: CreateJob, index: int, tries: int) -> dict[str, Any]:
    """The pod that the Job controller makes for an index of our own Job."""
    pools = Pools.model_validate(POOLS)
    settings = JobSettings(
        owner=Owner("quick-start", "uid", "disentanglement"),
        project="default",
        store_study="quick_start",
        images={step: "image" for step in STEPS},
        pools={step: pools.named("", step, field="") for step in STEPS},
    )
    template = job_manifest(job, settings)["spec"]["template"]
    annotations = {INDEX: str(index), TRIES: str(tries)}
    return {"metadata": {**template["metadata"], "annotations": annotations}, "spec": template["spec"]}


def test_the_writer_reads_from_a_pod_of_ours_which_models_it_is_for() -> None:
    job = CreateJob("name", "train", "cars3d.beta_vae", (3, 4, 5, 9), 3, "d" * 64, 0, 2, with_codes=True)
    work = Work.of(pod_of(job, index=1, tries=2))
    assert (work.step, work.study, work.project, work.tries) == ("train", "quick_start", "default", 2)
    assert (work.group.plan, work.group.cell, work.group.numbers) == ("d" * 64, "cars3d.beta_vae", (9,))
    assert work.with_codes


def test_the_end_of_a_study_follows_from_what_is_chosen_for_its_models() -> None:
    # Of 0 to 599, 7 and 427 are refused and 500 is lost in training; 42 and 542 are refused in evaluation.
    assert expected(range(600)) == Expected(
        trained=597, evaluated=595, failed=5, records_by_workers=4, records_by_controller=1
    )


@pytest.mark.parametrize("step", STEPS)
def test_most_models_simply_succeed(step: Step) -> None:
    fates = [fate(step, number) for number in range(12_600)]
    assert fates.count(Fate.COMMITTED) > 12_000
    assert step == "postprocess" or all(fates.count(chosen) for chosen in Fate)


def test_the_catalogue_has_a_card_of_every_data_set_of_a_study(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    names = data_set_names(study_spec("unsupervised_study_v1"))
    digests = put_cards(store, names)
    assert len(digests) == 7
    assert data_set_digests(store, names) == digests


def test_requests_are_counted_for_one_user_by_verb_and_resource(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    job, status = {"resource": "jobs"}, {"resource": "studies", "subresource": "status"}
    events = [("me", "create", job), ("me", "create", job), ("me", "patch", status), ("other", "get", job)]
    lines = [
        {"user": {"username": user}, "verb": verb, "requestURI": "/", "objectRef": where}
        for user, verb, where in events
    ]
    log.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert requests_of(log, "me") == {"create jobs": 2, "patch studies/status": 1}


def test_durations_of_one_name_are_read_from_lines_that_a_kill_may_cut_off(tmp_path: Path) -> None:
    times = tmp_path / "times"
    times.write_text("look 0.5\nreconcile 0.01\nlook 1.5\nreconcile 0.03\nreconcile 0.02\nlook")
    found = Durations.read(times, "reconcile")
    assert (found.median, found.longest) == (0.02, 0.03)
    assert str(found) == "20 ms (longest 30 ms, 3 times)"


def test_half_of_a_study_is_done_when_all_is_trained() -> None:
    assert share_done({"counts": {"total": 10, "trained": 10, "evaluated": 0, "failed": 0}}) == 0.5
    assert share_done({}) == 0
