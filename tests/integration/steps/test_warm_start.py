"""Trainings that start from a committed model: from its weights, with nothing else of its training."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import tiny_steps
import torch
from tiny_steps import Place
from torch import Tensor

from disentanglement.errors import ArtifactNotFound, Interrupted, SpecError, StepNotCommitted
from disentanglement.models.data.images import TrainingData
from disentanglement.models.networks.weights import tensors_from_bytes
from disentanglement.models.training.training import Training
from disentanglement.specs import StepKey, TrainSpec, parse_spec, step_key
from disentanglement.steps import train as train_module
from disentanglement.steps.admission import admit_study, admit_training
from disentanglement.steps.initial_weights import initial_weights, of_networks, start_from
from disentanglement.steps.ledger import StudyLedger
from disentanglement.steps.one_shot import ExitCode, Group, run_group
from disentanglement.steps.train import train
from disentanglement.storage.cache import Cache
from disentanglement.storage.collector import collect
from disentanglement.storage.commit import find_manifest, withdraw
from disentanglement.storage.data_sets import open_data_set
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies.plan import Plan
from disentanglement.studies.records import submit_study
from disentanglement.studies.references import give_name

ELSEWHERE = {"objective": {"beta_vae": {"beta": 1}}, "random_seed": 7}
"""What a training that starts from another one may change."""


def spec_of(digest: str, **changes: Any) -> TrainSpec:
    plain = {**tiny_steps.STUDY["model"], **changes}
    return parse_spec(TrainSpec, {**plain, "dataset": {"name": "dummy_data", "digest": digest}})


def weights_in(store: DirectoryStore, key: StepKey) -> Mapping[str, Tensor]:
    manifest = find_manifest(store, "train", key)
    assert manifest is not None
    return tensors_from_bytes(store.get(manifest.file_key("weights.safetensors")))


@pytest.fixture(scope="module")
def trained(imported: Path, digest: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which one model is committed."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(imported, folder / "store")
    train(spec_of(digest), Place(folder / "store", folder / "cache").context())
    return folder / "store"


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Place:
    shutil.copytree(trained, tmp_path / "store")
    return Place(tmp_path / "store", tmp_path / "cache")


@pytest.fixture
def store(place: Place) -> DirectoryStore:
    return DirectoryStore(place.store)


@pytest.fixture
def first(digest: str) -> StepKey:
    """The committed model."""
    return step_key(spec_of(digest))


def test_it_begins_with_the_weights_of_the_other_and_with_nothing_else(
    store: DirectoryStore, place: Place, first: StepKey, digest: str
) -> None:
    """By hand: a fresh training, whose weights are replaced before its first step."""
    spec = spec_of(digest, init_from=str(first), **ELSEWHERE)
    train(spec, place.context())
    images = open_data_set(store, Cache(place.cache), "dummy_data", digest).images.stored
    torch.set_num_threads(1)
    by_hand = Training(spec, TrainingData(images))
    for name, weight in weights_in(store, first).items():
        by_hand.weights()[name].copy_(weight)
    by_hand.advance(spec.training_steps)
    found = weights_in(store, step_key(spec))
    assert found.keys() == by_hand.weights().keys()
    for name, weight in by_hand.weights().items():
        assert torch.equal(found[name], weight), name


def test_its_key_and_its_provenance_name_the_other(
    store: DirectoryStore, place: Place, first: StepKey, digest: str
) -> None:
    fresh, warm = spec_of(digest, **ELSEWHERE), spec_of(digest, init_from=str(first), **ELSEWHERE)
    assert step_key(fresh) != step_key(warm)
    train(warm, place.context())
    manifest, other = find_manifest(store, "train", step_key(warm)), find_manifest(store, "train", first)
    assert manifest is not None
    assert other is not None
    assert manifest.provenance["initial_model"] == {"step_key": str(first), "content_digest": other.content_digest}
    assert "initial_model" not in other.provenance


@pytest.mark.parametrize(
    "written",
    ["key", "beginning", "projects/p/trainingJobs/{key}", "started", "projects/default/studies/tiny/models/0"],
)
def test_a_model_may_be_written_in_several_ways_and_means_one_training(
    store: DirectoryStore, first: StepKey, digest: str, written: str
) -> None:
    study = tiny_steps.study()
    submit_study(store, study, admit_study(store, study), project="default", now=datetime.now(UTC))
    give_name(store, "default", "started", "train", first)
    ways = {"key": str(first), "beginning": first.digest[:8]}
    text = ways.get(written, written.format(key=first))
    admitted = admit_training(store, spec_of(digest, init_from=text, **ELSEWHERE))
    assert admitted.init_from == str(first)


def test_an_unresolved_model_has_no_key(digest: str) -> None:
    with pytest.raises(SpecError, match="init_from: wanted a step key, resolved before keys are made, got tiny:0"):
        step_key(spec_of(digest, init_from="tiny:0"))


def test_a_study_sweeps_over_models_to_start_from(store: DirectoryStore, place: Place, first: StepKey) -> None:
    plan = admit_study(store, tiny_steps.study(grid={"sweep": {"init_from": ["", first.digest[:8]]}}))
    assert [model.train.init_from for model in plan.models] == ["", str(first)]
    assert plan.models[0].key == first  # an empty one is none


def test_one_model_under_two_names_is_refused(store: DirectoryStore, first: StepKey) -> None:
    two = {"sweep": {"init_from": [str(first), first.digest[:8]]}}
    with pytest.raises(SpecError, match="init_from: wanted one name for the model"):
        admit_study(store, tiny_steps.study(grid=two))


def test_a_study_from_a_model_that_is_not_trained_is_refused(store: DirectoryStore, first: StepKey) -> None:
    absent = f"dummy_data.beta_vae.{'a' * 52}"
    with pytest.raises(StepNotCommitted, match=f"init_from: the model {absent} is not trained yet"):
        admit_study(store, tiny_steps.study(model__init_from=absent))
    with pytest.raises(ArtifactNotFound, match=r"init_from: .*nobody"):
        admit_study(store, tiny_steps.study(model__init_from="nobody"))


def test_other_networks_are_refused_at_submission_naming_the_field_and_both(
    store: DirectoryStore, first: StepKey, digest: str
) -> None:
    wider = spec_of(digest, init_from=str(first), architecture={"num_latent": 6})
    with pytest.raises(SpecError, match=r"architecture\.num_latent: wanted 4, as the model of init_from .* got 6"):
        admit_training(store, wider)
    other = {"num_latent": 4, "encoder": "fc_encoder"}
    with pytest.raises(SpecError, match=r"architecture\.encoder: wanted conv_encoder, .* got fc_encoder"):
        admit_training(store, spec_of(digest, init_from=str(first), architecture=other))


def test_tensors_of_another_shape_are_refused_naming_the_variable_and_both_shapes(
    store: DirectoryStore, first: StepKey, digest: str
) -> None:
    spec = spec_of(digest, init_from=str(first), architecture={"num_latent": 6})
    with pytest.raises(SpecError, match=r"encoder\.means\.kernel of shape \[256, 6\], .* got one of shape \[256, 4\]"):
        initial_weights(spec, store, (64, 64, 1))
    weights = dict(weights_in(store, first))
    del weights["decoder.d6.bias"]
    with pytest.raises(SpecError, match=r"decoder\.d6\.bias of shape \[1\], .* got none"):
        of_networks(spec_of(digest, init_from=str(first)), (64, 64, 1), weights)


def test_what_is_no_weight_of_the_networks_is_left_where_it_is(
    store: DirectoryStore, first: StepKey, digest: str
) -> None:
    spec = spec_of(digest, init_from=str(first))
    more = {**weights_in(store, first), "discriminator.d1.kernel": torch.zeros(2)}
    assert of_networks(spec, (64, 64, 1), more).keys() == weights_in(store, first).keys()


def test_without_a_model_to_start_from_nothing_changes(digest: str, place: Place, store: DirectoryStore) -> None:
    spec = spec_of(digest)
    assert initial_weights(spec, store, (64, 64, 1)) == {}
    images = open_data_set(store, Cache(place.cache), "dummy_data", digest).images.stored
    training, untouched = (Training(spec, TrainingData(images)) for _ in range(2))
    start_from(training, {})
    assert all(torch.equal(weight, untouched.weights()[name]) for name, weight in training.weights().items())


def test_a_training_whose_model_is_gone_waits_for_it(
    store: DirectoryStore, place: Place, first: StepKey, digest: str
) -> None:
    spec = spec_of(digest, init_from=str(first), **ELSEWHERE)
    withdraw(store, "train", first)
    with pytest.raises(StepNotCommitted, match="init_from"):
        train(spec, place.context())


def test_a_worker_whose_model_is_gone_is_tried_again(store: DirectoryStore, place: Place, first: StepKey) -> None:
    plan = submitted(store, model__init_from=str(first))
    withdraw(store, "train", first)
    group = Group(plan.digest, "dummy_data.beta_vae", (1,), 1, 0)
    ledger = StudyLedger(store, "default", "tiny")
    assert run_group("train", group, ledger, place.context()) == ExitCode.TRY_AGAIN
    assert not ledger.failed(plan)


def test_a_checkpoint_goes_on_whatever_became_of_the_model_it_started_from(
    store: DirectoryStore, place: Place, first: StepKey, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "STEPS_PER_READ", 4)
    monkeypatch.setattr(train_module, "CHECKPOINT_EVERY_STEPS", 4)
    spec = spec_of(digest, init_from=str(first), **ELSEWHERE)
    asked = iter([False] * 2 + [True] * 100)
    with pytest.raises(Interrupted):
        train(spec, place.context(should_stop=lambda: next(asked)))
    uninterrupted = train(spec_of(digest, init_from=str(first), **ELSEWHERE), elsewhere(place).context())
    withdraw(store, "train", first)
    assert train(spec, place.context()).content_digest == uninterrupted.content_digest


def test_collecting_takes_no_model_that_others_start_from(store: DirectoryStore, place: Place, first: StepKey) -> None:
    submitted(store, model__init_from=str(first))
    collect(store, datetime(2100, 1, 1, tzinfo=UTC), dry_run=False)
    assert weights_in(store, first)


def submitted(store: DirectoryStore, **changes: Any) -> Plan:
    study = tiny_steps.study(**changes)
    plan = admit_study(store, study)
    submit_study(store, study, plan, project="default", now=datetime.now(UTC))
    return plan


def elsewhere(place: Place) -> Place:
    """A copy of the store as it is, without the checkpoints in it."""
    copy = place.store.with_name("elsewhere")
    shutil.copytree(place.store, copy, ignore=lambda folder, names: [name for name in names if "checkpoint" in name])
    return Place(copy, place.cache)
