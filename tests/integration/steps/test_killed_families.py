"""Trainings of every objective killed with SIGKILL between two checkpoints: they end as if nobody had killed them.

Which points of a training are survived is tested on one objective (`test_killed_steps`); here it is what has to be
in a checkpoint, which is each objective's own: players and their moments, variables of losses, labels, pairs.
"""

from __future__ import annotations

import shutil
import signal
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import tiny_steps
from every_objective import name_of, one_of_each_method, training_spec
from tiny_steps import Place

from disentanglement.specs import ObjectiveSpec
from disentanglement.steps.messages import StepResult, item_to_plain
from disentanglement.steps.progress import Progress
from disentanglement.steps.run import run_step
from disentanglement.storage.commit import committed
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies.pending import WorkItem

POINT = "before put checkpoint-000000000008.index.json"
"""Steps 5 to 8 are made, and lost."""

WEIGHTS = "weights.safetensors"


@pytest.mark.parametrize("objective", one_of_each_method(), ids=name_of)
def test_a_training_killed_between_two_checkpoints_ends_with_the_same_bits(
    objective: ObjectiveSpec, digest: str, place: Place, imported: Path, tmp_path: Path, processes: ForkServerContext
) -> None:
    dataset = {"name": "dummy_data", "digest": digest}
    item = WorkItem(0, training_spec(objective, dataset=dataset, training_steps=8), ())
    undisturbed = Place(tmp_path / "undisturbed", tmp_path / "undisturbed-cache")
    shutil.copytree(imported, undisturbed.store)
    expected = run_alone(processes, undisturbed, item)

    process = processes.Process(target=tiny_steps.run_and_die, args=(place, item_to_plain(item), POINT))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    reports: list[Progress] = []
    result = run_step(item, place.context(report=reports.append))

    assert min(report.done for report in reports) > 4, "it went on from the first checkpoint"
    assert result.computed
    assert result.content_digest == expected.content_digest
    mine, theirs = (committed(DirectoryStore(at.store), "train", item.key) for at in (place, undisturbed))
    assert mine is not None
    assert theirs is not None
    assert mine.results == theirs.results
    assert mine.files[WEIGHTS] == theirs.files[WEIGHTS]


def run_alone(processes: ForkServerContext, place: Place, item: WorkItem) -> StepResult:
    ours, theirs = processes.Pipe()
    process = processes.Process(target=tiny_steps.run_alone, args=(place, item_to_plain(item), theirs))
    process.start()
    theirs.close()
    result: StepResult = ours.recv()
    process.join(60)
    return result
