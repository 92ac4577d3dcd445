"""Real steps killed with SIGKILL at every named point: the next run ends with the same numbers, bit for bit."""

from __future__ import annotations

import shutil
import signal
from itertools import product
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import tiny_steps
from tiny_steps import Place

from disentanglement.specs import Step
from disentanglement.steps.messages import StepResult, item_to_plain
from disentanglement.steps.progress import Progress
from disentanglement.steps.run import run_step
from disentanglement.storage import prefixes
from disentanglement.storage.checking import check_store
from disentanglement.storage.commit import committed, list_committed
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies.pending import WorkItem

SECOND, LAST = "checkpoint-000000000008", "checkpoint-000000000012"
WRITTEN = (
    f"{SECOND}.file.state.safetensors",
    f"{SECOND}.file.history.json",
    f"{SECOND}.index.json",
    f"{LAST}.index.json",
    "history.parquet",
    "weights.safetensors",
    "manifest",
)
TRAIN_POINTS = [
    *(f"{when} put {name}" for when, name in product(("before", "inside", "after"), WRITTEN)),
    "after delete checkpoint-000000000004.index.json",
    "before delete checkpoint-000000000012.index.json",
]
RESUMES_AT = {  # of 12; where nothing is said here the last checkpoint is in place
    f"before put {SECOND}.file.state.safetensors": 4,
    f"inside put {SECOND}.file.state.safetensors": 4,
    f"after put {SECOND}.file.state.safetensors": 4,
    f"before put {SECOND}.file.history.json": 4,
    f"inside put {SECOND}.file.history.json": 4,
    f"after put {SECOND}.file.history.json": 4,
    f"before put {SECOND}.index.json": 4,
    f"inside put {SECOND}.index.json": 4,
    f"after put {SECOND}.index.json": 8,
    f"before put {LAST}.index.json": 8,
    f"inside put {LAST}.index.json": 8,
    "before put history.parquet": 4,  # it is written after each checkpoint, for who watches
    "inside put history.parquet": 4,
    "after put history.parquet": 4,
}
EXTRACT_POINTS = [
    f"{when} put {name}"
    for when, name in product(("before", "inside", "after"), ("mean.npy", "logvar.npy", "codes-manifest", "manifest"))
]
EVALUATE_POINTS = ["before put manifest", "inside put manifest", "after put manifest"]


class Model:
    """A model whose steps ran undisturbed, each in a process of its own."""

    def __init__(self, place: Place, items: list[WorkItem], results: dict[tuple[Step, Any], StepResult]) -> None:
        self.place = place
        self.items = items
        self.results = results

    def first(self, step: Step) -> WorkItem:
        return next(item for item in self.items if item.step == step)

    def with_inputs_of(self, item: WorkItem, folder: Path) -> Place:
        """A copy of the store with what comes before a step, and nothing of it."""
        place = Place(folder / "store", folder / "cache")
        shutil.copytree(self.place.store, place.store)
        later = {"train": ("train", "postprocess", "evaluate"), "postprocess": ("postprocess", "evaluate")}
        for step in later.get(item.step, ("evaluate",)):
            shutil.rmtree(place.store / "manifests" / step, ignore_errors=True)
            shutil.rmtree(place.store / "attempts" / step, ignore_errors=True)
        if item.step != "evaluate":
            shutil.rmtree(place.store / "codes", ignore_errors=True)
        return place


@pytest.fixture(scope="module")
def model(imported: Path, digest: str, tmp_path_factory: pytest.TempPathFactory, processes: ForkServerContext) -> Model:
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(imported, folder / "store")
    place, items = Place(folder / "store", folder / "cache"), tiny_steps.items(tiny_steps.plan(digest))
    chosen = [next(item for item in items if item.step == step) for step in ("train", "postprocess", "evaluate")]
    return Model(place, chosen, {item.id: run_alone(processes, place, item) for item in chosen})


def run_alone(processes: ForkServerContext, place: Place, item: WorkItem) -> StepResult:
    ours, theirs = processes.Pipe()
    process = processes.Process(target=tiny_steps.run_alone, args=(place, item_to_plain(item), theirs))
    process.start()
    theirs.close()
    result: StepResult = ours.recv()
    process.join(60)
    return result


def killed(processes: ForkServerContext, place: Place, item: WorkItem, point: str) -> int | None:
    process = processes.Process(target=tiny_steps.run_and_die, args=(place, item_to_plain(item), point))
    process.start()
    process.join(60)
    return process.exitcode


def assert_sound(store: DirectoryStore) -> None:
    """Whatever a manifest names is there with its digest, and whatever can be listed can be read."""
    assert check_store(store).findings == ()
    for info in store.list(prefixes.EVERYTHING):
        assert len(store.get(info.key)) == info.size


def assert_equal_to_undisturbed(model: Model, place: Place, item: WorkItem, result: StepResult) -> None:
    """One manifest, with the numbers of the run that nobody killed, and nothing beside its files."""
    store = DirectoryStore(place.store)
    assert_sound(store)
    assert result.content_digest == model.results[item.id].content_digest
    assert not result.determinism_violation
    assert list_committed(store, item.step) == {item.key}
    standing = committed(store, item.step, item.key, verify_digests=True)
    expected = committed(DirectoryStore(model.place.store), item.step, item.key)
    assert standing is not None
    assert expected is not None
    assert standing.content_digest == expected.content_digest
    assert standing.results == expected.results
    if item.step == "train":
        weights = "weights.safetensors"
        assert set(standing.files) == {weights, "history.parquet"}
        assert standing.files[weights] == expected.files[weights]  # the very same bytes


@pytest.mark.parametrize("point", TRAIN_POINTS)
def test_a_training_killed_at_any_point_ends_with_the_weights_of_an_undisturbed_one(
    model: Model, tmp_path: Path, point: str, processes: ForkServerContext
) -> None:
    item = model.first("train")
    place = model.with_inputs_of(item, tmp_path)
    assert killed(processes, place, item, point) == -signal.SIGKILL
    assert_sound(DirectoryStore(place.store))
    reports: list[Progress] = []

    result = run_step(item, place.context(report=reports.append))

    assert_equal_to_undisturbed(model, place, item, result)
    was_committed = point in ("after put manifest", "before delete checkpoint-000000000012.index.json")
    assert result.computed != was_committed
    if not was_committed:
        trained = [report.done for report in reports if report.note != "evaluating"]
        expected = RESUMES_AT.get(point, 12)
        assert min(trained, default=12) > expected or expected == 12
        assert bool(trained) == (expected < 12)


@pytest.mark.parametrize("point", EXTRACT_POINTS)
def test_an_extraction_killed_at_any_point_ends_with_the_same_codes(
    model: Model, tmp_path: Path, point: str, processes: ForkServerContext
) -> None:
    item = model.first("postprocess")
    place = model.with_inputs_of(item, tmp_path)
    assert killed(processes, place, item, point) == -signal.SIGKILL
    assert_sound(DirectoryStore(place.store))
    result = run_step(item, place.context())
    assert_equal_to_undisturbed(model, place, item, result)
    assert result.computed == (point != "after put manifest")


@pytest.mark.parametrize("point", EVALUATE_POINTS)
def test_an_evaluation_killed_at_any_point_ends_with_the_same_scores(
    model: Model, tmp_path: Path, point: str, processes: ForkServerContext
) -> None:
    item = model.first("evaluate")
    place = model.with_inputs_of(item, tmp_path)
    assert killed(processes, place, item, point) == -signal.SIGKILL
    assert_sound(DirectoryStore(place.store))
    result = run_step(item, place.context())
    assert_equal_to_undisturbed(model, place, item, result)
    assert result.computed == (point != "after put manifest")


@pytest.mark.parametrize("step", ["train", "postprocess", "evaluate"])
def test_two_processes_on_one_step_commit_it_once_and_agree(
    model: Model, tmp_path: Path, step: Step, processes: ForkServerContext
) -> None:
    item = model.first(step)
    place = model.with_inputs_of(item, tmp_path)
    barrier, pipes = processes.Barrier(2), [processes.Pipe() for _ in range(2)]
    workers = [
        processes.Process(target=tiny_steps.run_together, args=(place, item_to_plain(item), barrier, theirs))
        for _, theirs in pipes
    ]
    for worker in workers:
        worker.start()
    results = [ours.recv() for ours, _ in pipes]
    for worker in workers:
        worker.join(60)
    for result in results:
        assert_equal_to_undisturbed(model, place, item, result)
    store = DirectoryStore(place.store)
    standing = committed(store, step, item.key)
    assert standing is not None
    assert {result.attempt for result in results} == {standing.attempt}
    named = {str(standing.file_key(name)) for name in standing.files}
    assert {str(info.key) for info in store.list(prefixes.attempts(step))} == named
