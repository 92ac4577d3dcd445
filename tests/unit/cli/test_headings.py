"""What stands in front of the scores of a study with several methods."""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from disentanglement.cli import tables
from disentanglement.cli.headings import headings
from disentanglement.cli.tables import print_scores

KEYS = [
    ("mig", "discrete_mig"),
    ("sap_score", "SAP_score"),
    ("factor_vae_score", "eval_accuracy"),
    ("dci", "disentanglement"),
    ("dci", "completeness"),
    ("dci", "informativeness_test"),
]
MODELS: list[tuple[str, dict[str, Any]]] = [
    ("beta_vae", {"beta_vae.beta": 1.0}),
    ("beta_vae", {"beta_vae.beta": 4.0}),
    ("annealed_vae", {"annealed_vae.gamma": 1000.0, "annealed_vae.c_max": 25.0}),
    ("annealed_vae", {"annealed_vae.gamma": 1000.0, "annealed_vae.c_max": 50.0}),
    ("dip_vae_i", {"dip_vae.lambda_od": 1.0, "dip_vae.lambda_d_factor": 10.0, "dip_vae.dip_type": "i"}),
    ("dip_vae_ii", {"dip_vae.lambda_od": 1.0, "dip_vae.lambda_d_factor": 1.0, "dip_vae.dip_type": "ii"}),
    ("beta_tc_vae", {"beta_tc_vae.beta": 6.0}),
    ("factor_vae", {"factor_vae.gamma": 10.0}),
    ("plugin_my_vae", {"plugin.name": "my_model:MyVae", "plugin.parameters.gamma": 7}),
]


def mixed(representations: tuple[str, ...] = ("mean",)) -> pd.DataFrame:
    """Nine models of seven methods as a study's table has them."""
    paths = sorted({path for _, parameters in MODELS for path in parameters})
    return pd.DataFrame(
        {
            "number": number,
            "dataset": "dummy_data",
            "method": method,
            "random_seed": number % 2,
            **{f"train.objective.{path}": parameters.get(path) for path in paths},
            "representation": representation,
            "representation_parameters": "",
            "metric_parameters": "",
            "metric": metric,
            "key": key,
            "value": 0.1234,
            "comparable": True,
        }
        for (number, (method, parameters)), representation, (metric, key) in itertools.product(
            enumerate(MODELS), representations, KEYS
        )
    )


def printed(table: pd.DataFrame, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    console = Console(width=width, force_terminal=True, color_system=None)
    monkeypatch.setattr(tables, "results", lambda: console)
    with console.capture() as capture:
        print_scores(table)
    return [line.rstrip() for line in capture.get().splitlines() if line.strip()]


def test_parameters_of_several_methods_share_a_column_and_fit_into_a_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(mixed(), 100, monkeypatch)
    assert " ".join(lines[0].split()) == "model method parameters seed MIG SAP FactorVAE DCI D DCI C DCI I"
    assert all(len(line) <= 100 for line in lines)
    rows = [line.split() for line in lines]
    assert ["1", "beta_vae", "beta=4", "1", *["0.1234"] * 6] in rows
    assert ["3", "annealed_vae", "c_max=50", "1", *["0.1234"] * 6] in rows  # gamma is that of all annealed models
    assert ["8", "plugin_my_vae", "gamma=7", "0", *["0.1234"] * 6] in rows
    dip = next(number for number, row in enumerate(rows) if row[:2] == ["5", "dip_vae_ii"])
    assert "".join(rows[dip][2:3] + rows[dip + 1]) == "lambda_d_factor=1lambda_od=1"


@pytest.mark.parametrize(("width", "representations"), [(80, ("mean",)), (100, ("mean", "sampled"))])
def test_no_score_is_cut(width: int, representations: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(mixed(representations), width, monkeypatch)
    assert sum(line.count("0.1234") for line in lines) == len(representations) * len(MODELS) * len(KEYS)
    assert not any("…" in line for line in lines)


@pytest.mark.parametrize(
    ("paths", "wanted"),
    [
        (["train.objective.beta_vae.beta"], ["beta"]),
        (
            ["train.objective.beta_vae.beta", "train.objective.beta_tc_vae.beta", "random_seed"],
            ["beta_vae.beta", "beta_tc_vae.beta", "seed"],
        ),
        (
            [
                "train.architecture.encoder.plugin.parameters.width",
                "train.architecture.decoder.plugin.parameters.width",
            ],
            ["encoder.width", "decoder.width"],
        ),
        (["train.optimizer.adam.learning_rate", "number"], ["learning rate", "model"]),
        (["train.a.plugin.x", "train.a.x"], ["train.a.plugin.x", "train.a.x"]),
    ],
)
def test_a_heading_is_what_tells_a_column_from_the_others(paths: list[str], wanted: list[str]) -> None:
    assert list(headings(paths).values()) == wanted
