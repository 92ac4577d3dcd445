"""Every data set by its name through the three steps, and what is drawn anew for each image is drawn alike again."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_steps
import torch
from every_objective import one_of_each_method, training_spec
from small_data_sets import import_small
from tiny_steps import Place

from disentanglement.datasets.catalog import DATA_SETS
from disentanglement.datasets.ground_truth import GridData
from disentanglement.models.data.images import TrainingData
from disentanglement.models.networks.stacked_ops import stacked_ops
from disentanglement.models.training.pack import Pack
from disentanglement.models.training.training import Training
from disentanglement.steps.run import run_step
from disentanglement.storage.cache import Cache
from disentanglement.storage.data_sets import open_data_set
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.studies.plan import expand_study

DRAWN = ("color_dsprites", "noisy_dsprites", "abstract_dsprites")
KINDS = {
    objective.selected[0]: objective
    for objective in one_of_each_method()
    if objective.selected[0] in ("beta_vae", "s2_vae", "group_vae")
}
"""One objective that learns from images alone, one from labels too, and one from pairs."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "store", tmp_path / "cache")


def opened(place: Place, name: str, tmp_path: Path) -> tuple[TrainingData, GridData]:
    store = DirectoryStore(place.store)
    card = import_small(store, name, tmp_path)
    truth = open_data_set(store, Cache(place.cache), name, card.digest)
    return TrainingData.of(truth), truth


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_data_set_is_trained_on_encoded_and_scored(name: str, place: Place, tmp_path: Path) -> None:
    store = DirectoryStore(place.store)
    card = import_small(store, name, tmp_path)
    study = tiny_steps.study(
        model__dataset=name,
        model__training_steps=2,
        grid__sweep__random_seed=[0],
        metrics=[{"mig": {"num_train": 100}}],
        name="every",
    )
    for item in tiny_steps.items(expand_study(study, {name: card.digest})):
        run_step(item, place.context())
    scores = [found for key, (_, found) in tiny_steps.contents(store).items() if key.startswith("evaluate")]
    assert len(scores) == 2  # on the mean and on the sampled representation
    assert all(0 <= found["discrete_mig"] <= 1 for found in scores)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DRAWN)
def test_a_training_that_resumes_sees_the_same_images(name: str, kind: str, place: Place, tmp_path: Path) -> None:
    data, truth = opened(place, name, tmp_path)
    spec = training_spec(KINDS[kind], dataset=name)
    whole = Training(spec, data, truth)
    whole.advance(5)
    whole.read_terms()
    half = Training(spec, data, truth)
    half.advance(2)
    half.read_terms()
    resumed = Training(spec, data, truth)
    resumed.restore(half.state())
    resumed.advance(3)
    resumed.read_terms()
    for variable, tensor in whole.state().items():
        assert torch.equal(tensor, resumed.state()[variable]), variable


@pytest.mark.parametrize("name", DRAWN)
def test_iterations_see_the_same_points_in_other_colours(name: str, place: Place, tmp_path: Path) -> None:
    data, truth = opened(place, name, tmp_path)
    spec = training_spec(KINDS["beta_vae"], dataset=name)
    streams = Training(spec, data, truth).make_streams(evaluation=False)
    evaluation = Training(spec, data, truth).make_streams(evaluation=True)
    points = streams.rows(0)
    images = [
        data.images(points, draws.observations(at)) for draws, at in ((streams, 0), (streams, 1), (evaluation, 0))
    ]
    assert not torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])


@pytest.mark.parametrize("name", DRAWN)
def test_members_of_a_pack_see_the_images_that_they_see_alone(name: str, place: Place, tmp_path: Path) -> None:
    data, truth = opened(place, name, tmp_path)
    spec = training_spec(KINDS["beta_vae"], dataset=name)
    specs = [spec.replace(random_seed=seed) for seed in (0, 1)]
    alone = [Training(own, data, truth) for own in specs]
    pack = Pack([Training(own, data, truth) for own in specs], "stacked", ops=stacked_ops(data.device))
    pack.advance(3)
    for training, member in zip(alone, pack.members, strict=True):
        training.advance(3)
        assert member.read_terms().loss == pytest.approx(training.read_terms().loss, rel=1e-4)
