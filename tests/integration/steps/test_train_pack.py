"""Several models trained as one pack: each has an attempt, checkpoints, a history and an end of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import tiny_steps
from tiny_steps import Place

from disentanglement.errors import Interrupted, NonFiniteLoss, StepNotCommitted, Unavailable
from disentanglement.models.training.pack import Pack, Way
from disentanglement.models.training.training import Training
from disentanglement.specs import TrainSpec, parse_spec, step_key
from disentanglement.steps import one_shot
from disentanglement.steps import train as train_module
from disentanglement.steps.context import StepContext
from disentanglement.steps.ledger import StudyLedger
from disentanglement.steps.messages import StepResult
from disentanglement.steps.one_shot import ExitCode, Group, run_group
from disentanglement.steps.progress import Progress
from disentanglement.steps.train import train
from disentanglement.steps.train_pack import train_pack
from disentanglement.storage.checkpoints import latest_checkpoint
from disentanglement.storage.commit import find_manifest
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.manifests import Manifest
from disentanglement.storage.tries import tries
from disentanglement.studies.plan import Plan
from disentanglement.studies.records import submit_study

WAYS = pytest.mark.parametrize("way", ["in_turn", "stacked"])
SMALL = {"num_latent": 4, "encoder": {"test_encoder": {}}, "decoder": {"test_decoder": {}}}
MIXED: list[dict[str, Any]] = [
    {"objective": {"beta_vae": {"beta": 4}}},
    {"objective": {"factor_vae": {"gamma": 6}}, "training_steps": 9},  # five iterations, which end at step 10
    {"objective": {"beta_tc_vae": {"beta": 2}}, "random_seed": 5, "training_steps": 7},
]
TOO_FAST = {"optimizer": {"adam": {"learning_rate": 1e15}}}


def specs_of(digest: str, *changes: Mapping[str, Any]) -> list[TrainSpec]:
    plain = {**tiny_steps.STUDY["model"], "architecture": SMALL, "dataset": {"name": "dummy_data", "digest": digest}}
    return [parse_spec(TrainSpec, {**plain, **own}) for own in changes]


def manifest_of(place: Place, spec: TrainSpec) -> Manifest:
    found = find_manifest(DirectoryStore(place.store), "train", step_key(spec))
    assert found is not None
    return found


def alone(specs: list[TrainSpec], place: Place, tmp_path: Path) -> list[Manifest]:
    """What each comes to by itself, in a store of its own."""
    import shutil

    shutil.copytree(place.store, tmp_path / "alone")
    elsewhere = Place(tmp_path / "alone", place.cache)
    for spec in specs:
        train(spec, elsewhere.context())
    return [manifest_of(elsewhere, spec) for spec in specs]


@WAYS
def test_every_member_is_committed_with_the_numbers_that_it_has_alone(
    way: Way, place: Place, digest: str, tmp_path: Path
) -> None:
    specs = specs_of(digest, *MIXED)
    expected = alone(specs, place, tmp_path)
    outcomes = train_pack(specs, [place.context()] * 3, way)
    for spec, outcome, by_itself in zip(specs, outcomes, expected, strict=True):
        manifest = manifest_of(place, spec)
        assert outcome == StepResult(manifest.attempt, manifest.content_digest, computed=True)
        assert manifest.results == pytest.approx(by_itself.results, rel=1e-4, abs=1e-4)
        if way == "in_turn":
            assert manifest.content_digest == by_itself.content_digest


@WAYS
def test_the_provenance_names_the_way_and_the_mates(way: Way, place: Place, digest: str) -> None:
    specs = specs_of(digest, *MIXED[:2])
    train_pack(specs, [place.context()] * 2, way)
    provenance = manifest_of(place, specs[0]).provenance
    assert provenance["pack"] == {"way": way, "mates": [str(step_key(specs[1]))]}
    assert provenance["computation"]["engine"] == way  # type: ignore[call-overload, index]


def test_every_member_has_progress_and_a_history_of_its_own(
    place: Place, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "STEPS_PER_READ", 4)
    specs = specs_of(digest, *MIXED)
    heard: list[list[Progress]] = [[], [], []]
    train_pack(specs, [place.context(report=own.append) for own in heard], "stacked")
    assert [[(p.done, p.total) for p in own if p.note != "evaluating"] for own in heard] == [
        [(4, 12), (8, 12), (12, 12)],
        [(4, 10), (8, 10), (10, 10)],
        [(4, 7), (7, 7)],
    ]
    store = DirectoryStore(place.store)
    for spec, steps in zip(specs, ([4, 8, 12], [4, 8, 10], [4, 7]), strict=True):
        manifest = manifest_of(place, spec)
        path = store_file(place, store, manifest)
        assert pq.read_table(path)["step"].to_pylist() == steps


def store_file(place: Place, store: DirectoryStore, manifest: Manifest) -> Any:
    import io

    return io.BytesIO(store.get(manifest.file_key("history.parquet")))


@WAYS
def test_a_member_that_fails_leaves_and_the_others_come_to_the_same_end(
    way: Way, place: Place, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_module, "STEPS_PER_READ", 4)
    specs = specs_of(digest, MIXED[0], {**MIXED[0], **TOO_FAST}, MIXED[2])
    kept: list[BaseException | None] = []
    contexts = [place.context() for _ in specs]
    contexts[1] = place.context(keep_log=lambda attempt, error: kept.append(error))
    sizes: list[int] = []
    advance = Pack.advance

    def watched(pack: Pack, num_iterations: int) -> None:
        sizes.append(len(pack.members))
        advance(pack, num_iterations)

    monkeypatch.setattr(Pack, "advance", watched)
    outcomes = train_pack(specs, contexts, way)
    assert sizes == [3, 2, 1, 1]  # it fails within the first four steps; one ends at step 7, one at step 12
    assert isinstance(outcomes[1], NonFiniteLoss)
    assert kept[-1] is outcomes[1]
    assert [isinstance(outcome, StepResult) for outcome in outcomes] == [True, False, True]
    assert find_manifest(DirectoryStore(place.store), "train", step_key(specs[1])) is None


@WAYS
def test_who_is_asked_to_stop_leaves_checkpoints_that_any_other_pack_goes_on_from(
    way: Way, place: Place, digest: str, tmp_path: Path
) -> None:
    specs = specs_of(digest, *MIXED)
    expected = alone(specs, place, tmp_path)
    heard: list[Progress] = []
    looks = iter([False, False, True])
    contexts = [place.context(report=heard.append) for _ in specs]
    contexts[0] = place.context(should_stop=lambda: next(looks, True))
    with pytest.raises(Interrupted, match="pack of 3"):
        train_pack(specs, contexts, way)
    store = DirectoryStore(place.store)
    found = [latest_checkpoint(store, "train", step_key(spec)) for spec in specs]
    assert [checkpoint and checkpoint.position for checkpoint in found] == [5, 10, 5]
    first = train_pack(specs[:2][::-1], [place.context()] * 2, way)  # other mates, another order
    train(specs[2], place.context())
    assert all(isinstance(outcome, StepResult) for outcome in first)
    for spec, by_itself in zip(specs, expected, strict=True):
        assert manifest_of(place, spec).results == pytest.approx(by_itself.results, rel=1e-4, abs=1e-4)


def test_what_is_committed_is_not_trained_again(place: Place, digest: str) -> None:
    specs = specs_of(digest, *MIXED)
    before = train(specs[1], place.context())
    outcomes = train_pack(specs, [place.context()] * 3, "in_turn")
    assert outcomes[1] == dataclasses.replace(before, computed=False)
    assert manifest_of(place, specs[0]).provenance["pack"] == {"way": "in_turn", "mates": [str(step_key(specs[2]))]}
    again = train_pack(specs, [place.context()] * 3, "stacked")
    assert not any(isinstance(outcome, StepResult) and outcome.computed for outcome in again)


def test_a_member_whose_beginning_is_missing_is_told_so_alone(place: Place, digest: str) -> None:
    one, two = specs_of(digest, *MIXED[:2])
    warm = two.replace(init_from=str(step_key(one.replace(random_seed=99))))
    outcomes = train_pack([one, warm], [place.context()] * 2, "stacked")
    assert isinstance(outcomes[0], StepResult)
    assert isinstance(outcomes[1], StepNotCommitted)


def test_a_store_that_goes_away_ends_the_pack(place: Place, digest: str) -> None:
    kept: list[BaseException | None] = []

    def lost(progress: Progress) -> None:
        raise Unavailable("no answer")

    contexts = [place.context(report=lost), place.context(keep_log=lambda attempt, error: kept.append(error))]
    with pytest.raises(Unavailable):
        train_pack(specs_of(digest, MIXED[2], MIXED[0]), contexts, "in_turn")
    assert isinstance(kept[-1], Unavailable)


@pytest.fixture
def plan(digest: str) -> Plan:
    """Four models: two alike, one that learns too fast, one with larger batches."""
    zipped = [
        {"sweep": {"random_seed": [0, 1, 2, 3]}},
        {"sweep": {"optimizer.adam.learning_rate": [1e-4, 1e-4, 1e15, 1e-4]}},
        {"sweep": {"batch_size": [4, 4, 4, 5]}},
    ]
    return tiny_steps.plan(digest, grid={"zip": zipped}, model__architecture=SMALL)


@pytest.fixture
def ledger(place: Place, plan: Plan) -> StudyLedger:
    ledger = StudyLedger(DirectoryStore(place.store), "default", "tiny")
    submit_study(ledger.store, tiny_steps.study(), plan, project="default", now=datetime.now(UTC))
    return ledger


def run(ledger: StudyLedger, plan: Plan, context: StepContext, **options: Any) -> ExitCode:
    group = Group(plan.digest, "dummy_data.beta_vae", (0, 1, 2, 3), 4, 0)
    return run_group("train", group, ledger, context, **options)


@WAYS
def test_a_group_is_trained_as_packs_where_the_setting_says_so(
    way: Way, ledger: StudyLedger, plan: Plan, place: Place
) -> None:
    assert run(ledger, plan, place.context(pack=way), with_codes=True) == ExitCode.FAILED
    by_number = {model.number: manifest for model in plan.models if (manifest := standing(ledger, model.train))}
    assert by_number.keys() == {0, 1, 3}
    assert {number for number, manifest in by_number.items() if "pack" in manifest.provenance} == {0, 1}
    [failed] = ledger.failures(plan)
    assert failed.reason == NonFiniteLoss(0).reason
    assert {step for step, _ in ledger.committed(plan)} == {"train", "postprocess"}


@pytest.mark.parametrize("pack", ["off", None])
def test_a_group_is_trained_one_by_one_where_nothing_is_gained(
    pack: Any, ledger: StudyLedger, plan: Plan, place: Place
) -> None:
    assert run(ledger, plan, place.context(pack=pack)) == ExitCode.FAILED
    first = standing(ledger, plan.models[0].train)
    assert first is not None
    assert "pack" not in first.provenance


def test_a_pack_that_crashes_leaves_its_models_to_be_trained_alone(
    ledger: StudyLedger, plan: Plan, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*arguments: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Pack, "advance", crash)
    assert run(ledger, plan, place.context(pack="stacked")) == ExitCode.FAILED
    assert len(ledger.committed(plan)) == 3


def test_a_pack_that_crashes_and_what_follows_are_one_try(
    ledger: StudyLedger, plan: Plan, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*arguments: Any) -> None:
        raise RuntimeError("out of memory")

    def preempted(*arguments: Any) -> None:
        raise Unavailable("preempted")

    monkeypatch.setattr(Pack, "advance", crash)
    monkeypatch.setattr(Training, "advance_to", preempted)
    assert run(ledger, plan, place.context(pack="stacked")) == ExitCode.TRY_AGAIN
    assert len(tries(ledger.store, "train", plan.models[0].key).begun) == 1


def test_a_group_whose_pack_is_stopped_is_tried_again(ledger: StudyLedger, plan: Plan, place: Place) -> None:
    looks = iter([False, False])
    stopped = place.context(pack="in_turn", should_stop=lambda: next(looks, True))
    assert run(ledger, plan, stopped) == ExitCode.TRY_AGAIN
    assert not ledger.committed(plan)
    assert not ledger.failures(plan)


def test_tries_at_a_pack_count_once_for_each_member(
    ledger: StudyLedger, plan: Plan, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def preempted(*arguments: Any) -> None:
        raise Unavailable("preempted")

    monkeypatch.setattr(Pack, "advance", preempted)
    for _ in range(one_shot.MAX_TRIES):
        assert run(ledger, plan, place.context(pack="in_turn")) == ExitCode.TRY_AGAIN
    monkeypatch.undo()
    assert run(ledger, plan, place.context(pack="in_turn")) == ExitCode.FAILED
    assert sum("10 times" in record.message for record in ledger.failures(plan)) == 3  # the fourth goes into no pack


def standing(ledger: StudyLedger, spec: TrainSpec) -> Manifest | None:
    return find_manifest(ledger.store, "train", step_key(spec))
