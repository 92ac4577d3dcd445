"""Scores of codes that are in the store, computed one after the other in one process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny_steps
from numpy.typing import NDArray

from disentanglement.metrics.arrays import Codes
from disentanglement.metrics.sampling.representations import GridRepresentation
from disentanglement.specs import EvaluateSpec, TrainSpec, canonical, parse_spec, step_key
from disentanglement.steps import evaluate as module
from disentanglement.steps.context import StepContext
from disentanglement.steps.evaluate import evaluate
from disentanglement.storage.codes import put_codes
from disentanglement.storage.commit import Attempt, commit, committed
from disentanglement.storage.directory_store import DirectoryStore
from disentanglement.storage.keys import CodesManifestKey
from disentanglement.studies.plan import PlannedModel

METRICS = [
    {"mig": {"num_train": 100}},
    {"sap_score": {"num_train": 100, "num_test": 50}},
    {"dci": {"num_train": 100, "num_test": 50}},
]


@pytest.fixture
def context(tmp_path: Path) -> StepContext:
    return StepContext(DirectoryStore(tmp_path / "store"), tmp_path / "cache")


@pytest.fixture
def model(context: StepContext) -> PlannedModel:
    """A model whose codes were made up."""
    digest = tiny_steps.import_dummy_data(context.store)
    model = tiny_steps.plan(digest).models[0]
    rng = np.random.default_rng(0)
    codes, logvar = rng.normal(size=(512, 4)).astype(np.float32), np.zeros((512, 4), np.float32)
    put_codes(context.store, CodesManifestKey(model.key, digest), codes, logvar)
    for representation in model.representations:
        attempt = Attempt(context.store, "postprocess", representation.key)
        provenance = {"train_spec": canonical(parse_spec(TrainSpec, canonical(model.train)))}
        upstream = [model.key]
        manifest = attempt.manifest(
            spec=canonical(representation.spec), contract="1.1", upstream=upstream, provenance=provenance
        )
        commit(context.store, manifest)
    return model


def scores(context: StepContext, model: PlannedModel, representation: int, **fields: object) -> dict[str, float]:
    spec = parse_spec(EvaluateSpec, fields)
    key = model.representations[representation].key
    result = evaluate(spec, key, context.replace(recompute=True))
    manifest = committed(context.store, "evaluate", step_key(spec, [key]))
    assert manifest is not None
    assert manifest.content_digest == result.content_digest
    return manifest.scores()


@pytest.mark.parametrize("representation", [0, 1])
def test_metrics_in_turn_share_what_they_draw_and_score_as_alone(
    representation: int, context: StepContext, model: PlannedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathered: list[int] = []
    codes_of = GridRepresentation.codes_of

    def counted(self: GridRepresentation, rows: NDArray[np.int64]) -> Codes:
        gathered.append(len(rows))
        return codes_of(self, rows)

    monkeypatch.setattr(GridRepresentation, "codes_of", counted)
    alone = []
    for metric in METRICS:
        module._samples_of.cache_clear()
        alone.append(scores(context, model, representation, metric=metric, random_seed=5))
    assert gathered == [100, 100, 50, 100, 50]
    gathered.clear()
    module._samples_of.cache_clear()
    together = [scores(context, model, representation, metric=metric, random_seed=5) for metric in METRICS]
    assert together == alone
    assert gathered == [100, 50]
    scores(context, model, 1 - representation, metric=METRICS[0], random_seed=5)
    assert gathered == [100, 50, 100]  # another representation is another sample


@pytest.mark.parametrize("representation", [0, 1])
def test_a_standard_error_is_computed_on_the_points_of_the_score(
    representation: int, context: StepContext, model: PlannedModel
) -> None:
    plain = scores(context, model, representation, metric=METRICS[0], random_seed=5)
    found = scores(context, model, representation, metric=METRICS[0], random_seed=5, standard_error=True)
    assert found["discrete_mig"] == plain["discrete_mig"]
    assert 0 < found["discrete_mig.standard_error"] < 0.2
