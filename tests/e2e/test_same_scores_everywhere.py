"""One tiny study, run in every way there is: the same step keys, the same scores, the same content digests."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tiny_steps
from minio_server import S3Server
from service_processes import Stack, start_stack

from disentanglement import Client
from disentanglement.results.tables import study_table
from disentanglement.specs import STEPS, StudySpec
from disentanglement.steps.context import StepContext
from disentanglement.steps.ledger import StudyLedger
from disentanglement.steps.local import run_study
from disentanglement.steps.one_shot import ExitCode, Group, run_group
from disentanglement.steps.pool import environment
from disentanglement.storage.checking import check_store
from disentanglement.storage.codes import evict_codes, list_codes
from disentanglement.storage.commit import find_manifest, list_committed, withdraw
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.settings import open_store
from disentanglement.storage.store import Store
from disentanglement.studies.plan import Plan, expand_study
from disentanglement.studies.records import submit_study

pytestmark = pytest.mark.timeout(300)

PROJECT = "default"
NUMBERS = ["number", "representation", "metric", "key", "value", "train_key", "postprocess_key", "evaluate_key"]
NUM_STEPS = 2 + 2 * 2 + 2 * 2 * 4
QUICK = [metric for metric in tiny_steps.STUDY["metrics"] if "dci" not in metric]

Contents = dict[str, tuple[str, Any]]


class Undisturbed:
    """The study run by the driver over worker processes of this one, without services."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.plan = plan
        store = DirectoryStore(folder / "store")
        self.contents: Contents = tiny_steps.contents(store)
        self.table = numbers(study_table(store, PROJECT, plan))


def numbers(table: pd.DataFrame) -> pd.DataFrame:
    """What two runs of a study must have in common."""
    return table[NUMBERS].sort_values(NUMBERS[:4], ignore_index=True)


async def run_here(plan: Plan, folder: Path) -> None:
    """By the driver over worker processes of this one."""
    ledger = StudyLedger(DirectoryStore(folder / "store"), PROJECT, plan.study)
    env = environment(DISENTANGLEMENT_STORE=str(folder / "store"), DISENTANGLEMENT_CACHE=str(folder / "cache"))
    snapshot = await run_study(plan, ledger, workers=2, env=env, watch=lambda event: None)
    assert all(count.failed == 0 for count in snapshot.steps.values())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Run once, however many test processes there are: a finished study is found committed."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "undisturbed"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        plan = tiny_steps.plan(tiny_steps.import_dummy_data(DirectoryStore(folder / "store")))
        asyncio.run(run_here(plan, folder))
    return Undisturbed(folder, plan)


def assert_the_same(undisturbed: Undisturbed, store: Store, table: pd.DataFrame) -> None:
    """All that the undisturbed run holds of these models and metrics, and nothing else."""
    assert check_store(store).findings == ()
    found, expected = tiny_steps.contents(store), undisturbed.contents
    assert found == {step: expected[step] for step in found}
    scored = undisturbed.table[undisturbed.table["evaluate_key"].isin(numbers(table)["evaluate_key"])]
    pd.testing.assert_frame_equal(numbers(table), scored.reset_index(drop=True), check_exact=True)


def submit_and_wait(address: str, study: StudySpec, *, num_steps: int) -> pd.DataFrame:
    """A whole study through the aggregator's address alone."""
    with Client(address) as client:
        client.submit(study)
        *_, last = client.watch(study.name)
        assert last.state == "succeeded"
        assert (last.done, last.total) == (num_steps, num_steps)
        return client.results(study.name)


def test_the_undisturbed_study_is_whole(undisturbed: Undisturbed) -> None:
    assert len(undisturbed.contents) == NUM_STEPS
    assert len(undisturbed.table.groupby(["number", "representation", "metric"])) == 2 * 2 * 4
    assert undisturbed.table["value"].notna().all()
    mean, sampled = (undisturbed.table.query(f"representation == '{word}'") for word in ("mean", "sampled"))
    assert (mean["value"].to_numpy() != sampled["value"].to_numpy()).any()


def test_one_shot_runs_give_the_same_scores(undisturbed: Undisturbed, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    quick = tiny_steps.study(metrics=QUICK)
    plan = expand_study(quick, {"dummy_data": tiny_steps.import_dummy_data(store)})
    submit_study(store, quick, plan, project=PROJECT, now=datetime.now(UTC))
    context = StepContext(store, tmp_path / "cache")
    for step in STEPS:
        for index in range(2):
            group = Group(plan.digest, "dummy_data.beta_vae", models=(0, 1), pack=1, index=index)
            assert run_group(step, group, StudyLedger(store, PROJECT, "tiny"), context) is ExitCode.COMMITTED
    assert_the_same(undisturbed, store, study_table(store, PROJECT, plan))


def test_evicted_codes_are_extracted_again_and_give_the_same_scores(undisturbed: Undisturbed, tmp_path: Path) -> None:
    shutil.copytree(undisturbed.folder / "store", tmp_path / "store")
    store = DirectoryStore(tmp_path / "store")
    forget_quick_scores_and_codes(store)
    asyncio.run(run_here(undisturbed.plan, tmp_path))
    assert len(list_codes(store)) == 2
    assert tiny_steps.contents(store) == undisturbed.contents
    assert_the_same(undisturbed, store, study_table(store, PROJECT, undisturbed.plan))


def forget_quick_scores_and_codes(store: Store) -> None:
    """Leaves weights and representations, and the scores that take long."""
    for key in list_codes(store):
        evict_codes(store, key)
    for evaluated in list_committed(store, "evaluate"):
        manifest = find_manifest(store, "evaluate", evaluated)
        assert manifest is not None
        if "informativeness_train" not in manifest.results:  # dci
            withdraw(store, "evaluate", evaluated)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """The four services over a directory."""
    tiny_steps.import_dummy_data(DirectoryStore(tmp_path / "store"))
    started = start_stack(tmp_path)
    yield started
    started.stop()


def test_the_four_services_give_the_same_scores(undisturbed: Undisturbed, stack: Stack) -> None:
    store, study = DirectoryStore(stack.store), tiny_steps.study()
    assert_the_same(undisturbed, store, submit_and_wait(stack.address, study, num_steps=NUM_STEPS))
    assert tiny_steps.contents(store) == undisturbed.contents

    forget_quick_scores_and_codes(store)  # the aggregator's driver, too, has evicted codes extracted again
    assert_the_same(undisturbed, store, submit_and_wait(stack.address, study, num_steps=NUM_STEPS))
    assert tiny_steps.contents(store) == undisturbed.contents


def test_the_four_services_over_a_real_bucket_give_the_same_scores(
    undisturbed: Undisturbed, minio_server: S3Server, tmp_path: Path
) -> None:
    settings = {
        "DISENTANGLEMENT_STORE": f"s3://{minio_server.fresh_bucket()}/group",
        "DISENTANGLEMENT_S3_ENDPOINT": minio_server.url,
        "DISENTANGLEMENT_S3_ACCESS_KEY": minio_server.access_key,
        "DISENTANGLEMENT_S3_SECRET_KEY": minio_server.secret_key,
    }
    store = open_store(env=settings)
    tiny_steps.import_dummy_data(store)
    started = start_stack(tmp_path, settings)
    one_model = tiny_steps.study(grid={"sweep": {"random_seed": [0]}}, representations=["mean"])
    try:
        assert_the_same(undisturbed, store, submit_and_wait(started.address, one_model, num_steps=6))
    finally:
        started.stop()
        store.close()  # type: ignore[attr-defined]
