"""Real steps, small enough for milliseconds: a study on `dummy_data`, and steps run in processes that are killed."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Barrier
from typing import Any
from unittest import mock

from crashing_step import CrashingStore

from disentanglement.cli.data_sets import obtain
from disentanglement.specs import StudySpec, parse_spec
from disentanglement.specs.parsing import with_paths
from disentanglement.steps.context import StepContext
from disentanglement.steps.messages import StepResult, item_from_plain
from disentanglement.steps.run import run_step
from disentanglement.storage.commit import find_manifest, list_committed
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.store import Store
from disentanglement.studies.pending import WorkItem, steps_of
from disentanglement.studies.plan import Plan, expand_study

STUDY: dict[str, Any] = {
    "name": "tiny",
    "model": {
        "dataset": "dummy_data",
        "objective": {"beta_vae": {"beta": 4}},
        "architecture": {"num_latent": 4},
        "training_steps": 12,
        "eval_steps": 1,
        "batch_size": 4,
    },
    "grid": {"sweep": {"random_seed": [0, 1]}},
    "representations": ["mean", "sampled"],
    "metrics": [
        {"mig": {"num_train": 100}},
        {"sap_score": {"num_train": 100, "num_test": 50}},
        {"factor_vae_score": {"num_train": 60, "num_eval": 30, "num_variance_estimate": 100, "batch_size": 8}},
        {"dci": {"num_train": 60, "num_test": 30}},
    ],
}
"""Two models x two representations x four metrics, in the words of a study file."""

STEPS_PER_READ, CHECKPOINT_EVERY_STEPS = 4, 4
"""Between two checkpoints of a training that is to be killed: positions 4, 8 and 12."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step runs."""

    store: Path
    cache: Path

    def context(self, **changes: Any) -> StepContext:
        """For running steps in this process."""
        return StepContext(DirectoryStore(self.store), self.cache).replace(**changes)

    def env(self) -> dict[str, str]:
        """For worker processes."""
        return {"DISENTANGLEMENT_STORE": str(self.store), "DISENTANGLEMENT_CACHE": str(self.cache)}


def import_dummy_data(store: Store) -> str:
    """Puts `dummy_data` into a store; its digest."""
    return obtain(store, "dummy_data", released=None, report=lambda share, note: None)[0].digest


def study(**changes: Any) -> StudySpec:
    """The tiny study, changed at dotted paths (`model__training_steps=40`)."""
    paths = {path.replace("__", "."): value for path, value in changes.items()}
    return parse_spec(StudySpec, with_paths(STUDY, paths))


def plan(digest: str, **changes: Any) -> Plan:
    """The tiny study's plan on the `dummy_data` of this digest."""
    return expand_study(study(**changes), {"dummy_data": digest})


def items(of: Plan, number: int = 0) -> list[WorkItem]:
    """The steps of one model, inputs first."""
    return list(steps_of(of.model(number)))


def contents(store: Store) -> dict[str, tuple[str, Any]]:
    """Content digest and results of every committed step."""
    found = {}
    for step in ("train", "postprocess", "evaluate"):
        for key in list_committed(store, step):
            manifest = find_manifest(store, step, key)
            assert manifest is not None
            found[f"{step} {key}"] = (manifest.content_digest, manifest.scores())
    return found


def run_and_die(place: Place, item: dict[str, Any], point: str) -> None:
    """Runs a step in this process and dies at the point (see `crashing_step`)."""
    _run(place, item, lambda store: CrashingStore(store, point))


def run_together(place: Place, item: dict[str, Any], barrier: Barrier, answers: Connection) -> None:
    """Runs a step at the same moment as others, and says what came of it."""
    barrier.wait()
    answers.send(_run(place, item))


def run_alone(place: Place, item: dict[str, Any], answers: Connection) -> None:
    """Runs a step from its beginning to its end, and says what came of it."""
    answers.send(_run(place, item))


def _run(place: Place, item: dict[str, Any], wrapped: Any = lambda store: store) -> StepResult:
    from disentanglement.steps import train

    with (
        mock.patch.object(train, "STEPS_PER_READ", STEPS_PER_READ),
        mock.patch.object(train, "CHECKPOINT_EVERY_STEPS", CHECKPOINT_EVERY_STEPS),
    ):
        return run_step(item_from_plain(item), place.context(store=wrapped(DirectoryStore(place.store))))
