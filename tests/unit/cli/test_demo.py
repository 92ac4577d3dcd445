"""The demo's study and its table."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

from disentanglement.cli import demo
from disentanglement.cli.remote_study import weights_of
from disentanglement.cli.tables import print_scores
from disentanglement.studies.pending import steps_of
from disentanglement.studies.plan import expand_study

KEYS = [
    ("mig", "discrete_mig"),
    ("sap_score", "SAP_score"),
    ("factor_vae_score", "eval_accuracy"),
    ("factor_vae_score", "train_accuracy"),
    ("dci", "disentanglement"),
    ("dci", "completeness"),
    ("dci", "informativeness_test"),
    ("dci", "informativeness_train"),
]


def test_the_demo_is_four_models_two_representations_and_four_metrics() -> None:
    plan = expand_study(demo.study(), {"dsprites_full": "0" * 64})
    steps = [item.step for model in plan.models for item in steps_of(model)]
    assert (steps.count("train"), steps.count("postprocess"), steps.count("evaluate")) == (4, 8, 32)
    betas = [(m.train.objective.beta_vae.beta, m.train.random_seed) for m in plan.models if m.train.objective.beta_vae]
    assert betas == [(1.0, 0), (1.0, 1), (4.0, 0), (4.0, 1)]


def test_every_kind_of_step_has_a_share_of_the_work() -> None:
    assert all(weight > 0 for weight in weights_of(demo.study()).values())


def table() -> pd.DataFrame:
    """Scores as a study's table has them."""
    models = list(itertools.product((1.0, 4.0), (0, 1)))
    return pd.DataFrame(
        {
            "number": number,
            "dataset": "dsprites_full",
            "method": "beta_vae",
            "random_seed": seed,
            "train.objective.beta_vae.beta": beta,
            "representation": representation,
            "representation_parameters": "",
            "metric_parameters": "",
            "metric": metric,
            "key": key,
            "value": number / 10 + (representation == "mean") / 100,
            "comparable": False,
        }
        for (number, (beta, seed)), representation, (metric, key) in itertools.product(
            enumerate(models), ("mean", "sampled"), KEYS
        )
    )


def test_the_table_has_what_varies_in_front_and_fits_into_a_hundred_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_scores(table())
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    header = next(line for line in lines if "MIG" in line)
    names = ["model", "beta", "seed", "representation", "MIG", "SAP", "FactorVAE", "DCI", "D", "DCI", "C", "DCI", "I"]
    assert header.split() == names
    assert all(len(line) <= 100 for line in lines)
    rows = [line.split() for line in lines if "mean" in line or "sampled" in line]
    assert len(rows) == 8
    assert rows[2] == ["1", "1", "1", "mean", *["0.1100"] * 6]
    assert "not comparable with published" in printed.err


def test_what_differs_in_a_parameter_alone_is_told_apart_in_print(capsys: pytest.CaptureFixture[str]) -> None:
    parameters = ("", '{"random_seed":3}')
    both = pd.concat([table().assign(representation="sampled", representation_parameters=text) for text in parameters])
    print_scores(both.drop_duplicates(["number", "representation_parameters", "metric", "key"]).reset_index(drop=True))
    assert "sampled[random_seed=3]" in capsys.readouterr().out
