"""`--set` and `--metrics`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from every_objective import LABELLED, PAIRS, every_objective

from disentanglement.cli.parameters import assignments, methods, metric_specs, train_spec
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


# Every word that `disentangle train --method` lists, and every word that cells and `study show` print.
@pytest.mark.parametrize("method", sorted({*methods(), *(objective.method for objective in every_objective())}))
def test_every_printed_method_can_be_trained(method: str) -> None:
    if method == "plugin":
        spec = train_spec("dummy_data", method, {"name": "my_model:BottleneckVae", "parameters.gamma": 10})
        assert spec.objective.method == "plugin_bottleneck_vae"
        return
    word, told = methods()[method]
    example = next(each for each in every_objective() if each.word == word and method in (word, each.method))
    changes: dict[str, Any] = {
        name: value for name, value in example.selected[1].model_dump(exclude_none=True).items() if name not in told
    }
    changes |= {"labelled": LABELLED} if example.needs_labels else {}
    changes |= {"pairs": PAIRS} if example.needs_pairs else {}
    assert train_spec("dummy_data", method, changes).objective == example


def test_a_method_names_the_variant_of_its_objective() -> None:
    spec = train_spec("dummy_data", "dip_vae_ii", {"lambda_od": 1, "lambda_d_factor": 10})
    assert (spec.objective.dip_vae is not None, spec.objective.method) == (True, "dip_vae_ii")
    assert methods()["mlvae_argmax"] == ("mlvae", {"aggregation": "argmax"})
    assert methods()["s2_dip_vae"] == ("s2_dip_vae", {})


def test_the_word_of_a_plugin_says_how_the_plugin_is_named() -> None:
    with pytest.raises(SpecError, match="--set name=module:name"):
        train_spec("dummy_data", "plugin_bottleneck_vae", {})


# Two spellings of one field, or an option and `--set`.
@pytest.mark.parametrize(
    ("method", "changes", "fields", "named"),
    [
        ("beta_vae", {"beta": 4, "objective.beta_vae.beta": 5}, {}, "objective.beta_vae.beta"),
        ("dip_vae_ii", {"lambda_od": 1, "lambda_d_factor": 1, "dip_type": "i"}, {}, "--method"),
        ("beta_vae", {"beta": 4, "training_steps": 5}, {"training_steps": 6}, "--steps"),
        ("beta_vae", {"beta": 4, "random_seed": 1}, {"random_seed": 0}, "--seed"),
        ("beta_vae", {"beta": 4, "dataset": "dsprites_full"}, {}, "--dataset"),
        ("beta_vae", {"objective": {"factor_vae": {"gamma": 1}}}, {}, "--method"),
    ],
)
def test_a_field_that_is_given_twice_is_refused_by_name(
    method: str, changes: dict[str, Any], fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(SpecError, match=f"every field once, got .*{named}"):
        train_spec("dummy_data", method, changes, **fields)


def test_a_name_that_is_given_twice_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match="every name once, got beta"):
        assignments(["beta=4", "gamma=1", "beta=4"])


def test_a_field_of_a_metric_that_is_given_twice_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match=r"every field once, got .*dci\.num_train"):
        metric_specs("dci", {"num_train": 7, "dci.num_train": 8})


def test_a_digest_may_be_set_beside_the_name_of_the_data_set() -> None:
    assert train_spec("dummy_data", "beta_vae", {"beta": 1, "dataset.digest": "0" * 64}).dataset.digest == "0" * 64


class Documented(NamedTuple):
    """A row of the table of `docs/models.md`: methods, parameters, and the command as words."""

    methods: list[str]
    parameters: set[str]
    command: list[str]


def documented() -> list[Documented]:
    text = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
    rows = re.findall(r"^\| (.*) \| .* \| (.*) \| `(disentangle train .*)` \|$", text, re.MULTILINE)
    quoted = re.compile("`([a-z0-9_]+)`")
    return [Documented(quoted.findall(row[0]), set(quoted.findall(row[1])), shlex.split(row[2])) for row in rows]


def test_every_method_is_documented() -> None:
    words = [word for row in documented() for word in row.methods]
    assert sorted(words) == sorted({objective.method for objective in every_objective()} | {"plugin"})


@pytest.mark.parametrize("row", documented(), ids=lambda row: row.methods[0])
def test_the_documented_command_trains_the_method_with_its_parameters(row: Documented) -> None:
    assert row.command[:5] == ["disentangle", "train", "-d", "dsprites_full", "--method"]
    assert row.command[5] in row.methods
    assert set(row.command[6::2]) == {"--set"}
    for method in row.methods:
        word, told = methods()[method]
        spec = train_spec("dsprites_full", method, assignments(row.command[7::2]))
        assert method in ("plugin", spec.objective.method)
        fields = type(spec.objective.selected[1]).model_fields.keys() - told.keys() - {"source_digest"}
        assert (spec.objective.word, fields) == (word, row.parameters)


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
