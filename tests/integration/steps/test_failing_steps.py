"""A training that cannot succeed is recorded with its reason, and the rest of the study goes on."""

from __future__ import annotations

import pytest
import tiny_steps
from tiny_steps import Place

from disentanglement.errors import NonFiniteLoss
from disentanglement.specs import TrainSpec
from disentanglement.steps.driver import StudyEvent
from disentanglement.steps.ledger import StudyLedger
from disentanglement.steps.local import run_study
from disentanglement.steps.pool import environment
from disentanglement.steps.run import run_step
from disentanglement.storage import prefixes
from disentanglement.storage.checking import check_store
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies.pending import steps_of
from disentanglement.studies.plan import Plan

TOO_FAST = 3.0e4


@pytest.fixture
def plan(digest: str) -> Plan:
    """Three models, of which the second learns too fast."""
    rates = [1e-4, TOO_FAST, 2e-4]
    return tiny_steps.plan(
        digest, grid={"sweep": {"optimizer.adam.learning_rate": rates}}, metrics=tiny_steps.STUDY["metrics"][:1]
    )


def first_step_without_a_number(spec: TrainSpec, place: Place) -> int:
    """Looked for one step at a time."""
    from disentanglement.models.data.images import TrainingData
    from disentanglement.models.training.training import Training
    from disentanglement.storage.cache import Cache
    from disentanglement.storage.data_sets import open_data_set

    data = open_data_set(DirectoryStore(place.store), Cache(place.cache), spec.dataset.name, spec.dataset.digest)
    training = Training(spec, TrainingData(data.images.stored, device="cpu"))
    for step in range(spec.training_steps):
        training.advance(1)
        try:
            training.read_terms()
        except NonFiniteLoss:
            return step
    raise AssertionError("this training succeeds")


def test_a_loss_that_is_not_finite_names_the_step_and_commits_nothing(place: Place, plan: Plan) -> None:
    item = next(steps_of(plan.model(1)))
    assert isinstance(item.spec, TrainSpec)
    expected = first_step_without_a_number(item.spec, place)
    with pytest.raises(NonFiniteLoss) as caught:
        run_step(item, place.context())
    assert caught.value.step == expected
    assert list(DirectoryStore(place.store).list(prefixes.manifests())) == []


async def test_the_other_models_of_a_study_go_on(place: Place, plan: Plan) -> None:
    store, events = DirectoryStore(place.store), list[StudyEvent]()
    ledger = StudyLedger(store, "default", "tiny")
    snapshot = await run_study(plan, ledger, workers=1, env=environment(**place.env()), watch=events.append)

    failed = plan.model(1)
    (record,) = ledger.failures(plan)
    assert (record.step, record.step_key, record.reason) == ("train", str(failed.key), "NON_FINITE_LOSS")
    assert isinstance(record.details["step"], int)
    assert f"step {record.details['step']}" in record.message
    assert [event.item.number for event in events if event.kind == "failed" and event.item] == [1]
    done = {item.id for number in (0, 2) for item in steps_of(plan.model(number))}
    assert ledger.committed(plan) == done
    assert snapshot.steps["train"].failed == 1
    assert check_store(store).findings == ()

    assert ledger.forget_failures(plan) == 1
    assert ledger.failures(plan) == []
