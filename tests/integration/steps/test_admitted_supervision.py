"""Trainings whose labels or pairs can't be had of their data set are refused before anything is written."""

from __future__ import annotations

from typing import Any

import pytest
from tiny_steps import Place

from disentanglement.errors import SpecError
from disentanglement.specs import StudySpec, TrainSpec, parse_spec
from disentanglement.steps.admission import admit_study, admit_training
from disentanglement.steps.supervision import check_supervision
from disentanglement.storage.directory_store import DirectoryStore

NARROW = {"num_latent": 3}
XENT: dict[str, Any] = {"supervised_loss": {"xent": {}}}
COV: dict[str, Any] = {"supervised_loss": {"cov": {}}}


def labelled(objective: dict[str, Any] | None = None, *, observed: int = 4, **changes: Any) -> dict[str, Any]:
    labeller = {"partial_labeller": {"num_observed_factors": observed}}
    return {
        "dataset": "dummy_data",
        "objective": objective or {"supervised": XENT},
        "labelled": {"num_labelled_samples": 10, "labeller": labeller},
        **changes,
    }


def paired(k: int) -> dict[str, Any]:
    objective = {"group_vae": {"beta": 1, "aggregation": "argmax"}}
    return {"dataset": "dummy_data", "objective": objective, "pairs": {"k": k}}


MINE = {"s2_mine_vae": {"beta": 1, "gamma_sup": 1}}
GOOD = [
    labelled(),
    labelled(architecture={"num_latent": 4}),
    labelled({"supervised": COV}, architecture=NARROW),
    labelled(MINE, architecture=NARROW),
    labelled(observed=10),
    paired(-1),
    paired(10),
]
BAD = [
    (labelled(architecture=NARROW), r"num_latent: wanted at least the number of labels, 4, got 3"),
    (labelled(observed=11), r"num_observed_factors: wanted at most 10, got 11"),
    (labelled(MINE, observed=11), r"num_observed_factors: wanted at most 10, got 11"),
    (paired(11), r"pairs\.k: wanted -1 to 10"),
]


@pytest.mark.parametrize("plain", GOOD)
def test_what_the_factors_allow_is_admitted(plain: dict[str, Any], place: Place, digest: str) -> None:
    assert admit_training(DirectoryStore(place.store), parse_spec(TrainSpec, plain)).dataset.digest == digest


@pytest.mark.parametrize(("plain", "message"), BAD)
def test_what_the_factors_do_not_allow_is_refused_in_trainings_and_in_studies(
    plain: dict[str, Any], message: str, place: Place
) -> None:
    store = DirectoryStore(place.store)
    with pytest.raises(SpecError, match=message):
        admit_training(store, parse_spec(TrainSpec, plain))
    study = {"name": "bad", "model": plain, "representations": ["mean"], "metrics": ["mig"]}
    with pytest.raises(SpecError, match=message):
        admit_study(store, parse_spec(StudySpec, study))


def test_all_factors_are_labelled_where_none_is_hidden() -> None:
    spec = parse_spec(TrainSpec, labelled(labelled={"num_labelled_samples": 10}, architecture={"num_latent": 5}))
    check_supervision(spec, 5)
    with pytest.raises(SpecError, match="at least the number of labels, 6, got 5"):
        check_supervision(spec, 6)
