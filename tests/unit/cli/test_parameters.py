"""`--set` and `--metrics`."""

from __future__ import annotations

import pytest

from disentanglement.cli.parameters import assignments, metric_specs, train_spec
from disentanglement.errors import SpecError
from disentanglement.specs.metrics import Dci, Mig


def test_values_are_read_as_yaml() -> None:
    found = assignments(["beta=4", "optimizer.adam.learning_rate=1e-3", "num_train=[10, 100]", "dip_type=ii"])
    assert found == {"beta": 4, "optimizer.adam.learning_rate": 1e-3, "num_train": [10, 100], "dip_type": "ii"}


@pytest.mark.parametrize("texts", [["beta"], ["=4"], ["a b=4"], ["beta=4", "beta=5"], ["beta={"]])
def test_what_is_no_assignment_is_refused(texts: list[str]) -> None:
    with pytest.raises(SpecError):
        assignments(texts)


def test_a_bare_name_is_a_parameter_of_the_objective() -> None:
    spec = train_spec("dummy_data", "beta_vae", {"beta": 6}, random_seed=3)
    assert spec.objective.beta_vae is not None
    assert spec.objective.beta_vae.beta == 6.0
    assert spec.random_seed == 3


def test_a_path_reaches_any_field() -> None:
    changes = {"beta": 1, "optimizer.adam.learning_rate": 1e-3, "batch_size": 32}
    spec = train_spec("dummy_data", "beta_vae", changes)
    assert spec.optimizer.adam is not None
    assert (spec.optimizer.adam.learning_rate, spec.batch_size) == (1e-3, 32)


@pytest.mark.parametrize(
    ("method", "changes", "field"),
    [
        ("beta_vea", {"beta": 1}, "--method"),
        ("beta_vae", {}, "objective.beta_vae.beta"),
        ("beta_vae", {"beta": -1}, "objective.beta_vae.beta"),
        ("beta_vae", {"beta": 1, "gamma": 1}, "objective.beta_vae.gamma"),
        ("beta_vae", {"beta": 1, "batch_size": 0}, "batch_size"),
    ],
)
def test_a_wrong_training_spec_names_the_field(method: str, changes: dict[str, float], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        train_spec("dummy_data", method, changes)
    assert field in [violation.field for violation in caught.value.violations]


def test_metrics_take_the_changes_that_name_them() -> None:
    mig, dci = metric_specs("mig, dci", {"dci.num_train": 1000, "mig.num_bins": 10})
    assert mig.mig == Mig(num_bins=10)
    assert dci.dci == Dci(num_train=1000)


def test_with_one_metric_its_name_may_be_left_out() -> None:
    assert metric_specs("dci", {"num_train": 7})[0].dci == Dci(num_train=7)


@pytest.mark.parametrize(
    ("words", "changes"),
    [("", {}), ("mgi", {}), ("mig,mig", {}), ("mig,dci", {"num_train": 5}), ("mig", {"dci.num_train": 5})],
)
def test_a_wrong_choice_of_metrics_is_refused(words: str, changes: dict[str, int]) -> None:
    with pytest.raises(SpecError):
        metric_specs(words, changes)
