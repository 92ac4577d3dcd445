"""`disentangle score` on one's own arrays."""

from __future__ import annotations

import contextlib
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest import approx

from disentanglement.cli.score_files import read_arrays
from disentanglement.errors import ArtifactNotFound, ResourceExhausted, SpecError
from disentanglement.metrics.catalog import METRICS

GOLDEN = Path(__file__).parents[2] / "golden" / "metrics"
MIG_TOLERANCE = SAP_TOLERANCE = 1e-12
"""Sums in another order; see tests/golden/test_metrics_golden.py."""


def golden_file(case: str, path: Path) -> Path:
    """A recorded case, one row per point."""
    with np.load(GOLDEN / f"{case}.npz") as arrays:
        np.savez(
            path,
            codes=arrays["mus_train"].T,
            factors=arrays["ys_train"].T,
            test_codes=arrays["mus_test"].T,
            test_factors=arrays["ys_test"].T,
        )
    return path


@pytest.mark.parametrize("case", ["small_entangled", "small_perfect", "small_random"])
def test_scores_are_those_that_the_reference_gave(case: str, run: Any, tmp_path: Path) -> None:
    recorded = json.loads((GOLDEN / f"{case}.json").read_text())
    ended = run("score", golden_file(case, tmp_path / "case.npz"), "--metrics", "mig,sap_score", "--json")
    assert ended.code == 0
    assert ended.json["mig"]["discrete_mig"] == approx(recorded["mig"]["discrete_mig"], abs=MIG_TOLERANCE)
    sap = recorded["sap_score_discrete"]["SAP_score"]
    assert ended.json["sap_score"]["SAP_score"] == approx(sap, abs=SAP_TOLERANCE)


def independent(tmp_path: Path, **arrays: Any) -> Path:
    """Every combination of 3 x 4 values 20 times, each code a copy of a factor."""
    factors = np.tile(np.stack(np.unravel_index(np.arange(12), (3, 4)), axis=1), (20, 1))
    path = tmp_path / "own.npz"
    np.savez(path, **{"codes": factors.astype(np.float32), "factors": factors, **arrays})
    return path


def test_mig_is_one_when_each_code_copies_one_factor(run: Any, tmp_path: Path) -> None:
    ended = run("score", independent(tmp_path), "--metrics", "mig", "--json")
    assert ended.json == {"mig": {"discrete_mig": approx(1.0)}}


def test_a_table_is_printed_for_people(run: Any, tmp_path: Path) -> None:
    ended = run("score", independent(tmp_path), "--metrics", "mig")
    assert ended.code == 0
    assert "discrete_mig" in ended.out


def test_parameters_reach_the_metric(run: Any, tmp_path: Path) -> None:
    ended = run("score", independent(tmp_path), "--metrics", "mig", "--set", "mig.num_bins=2", "--json")
    assert ended.json["mig"]["discrete_mig"] < 1.0


def table(path: Path, **columns: Any) -> pd.DataFrame:
    """Codes that copy factors, but for noise, as a table beside other columns."""
    rng = np.random.default_rng(0)
    factors = np.tile(np.stack(np.unravel_index(np.arange(12), (3, 4)), axis=1), (20, 1))
    codes = factors + 0.3 * rng.normal(size=factors.shape)
    found = pd.DataFrame({"factor_shape": factors[:, 0], "code_0": codes[:, 0], "note": "any", "code_1": codes[:, 1]})
    return found.assign(**{"factor_size": factors[:, 1], **columns})


def write(found: pd.DataFrame, path: Path) -> Path:
    found.to_csv(path, index=False) if path.suffix == ".csv" else found.to_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_gives_the_scores_of_its_columns_in_their_order(kind: str, run: Any, tmp_path: Path) -> None:
    found = table(tmp_path)
    arrays = {
        "codes": found[["code_0", "code_1"]].to_numpy(),
        "factors": found[["factor_shape", "factor_size"]].to_numpy(),
    }
    np.savez(tmp_path / "same.npz", codes=arrays["codes"], factors=arrays["factors"])
    asked = ("--metrics", "mig,sap_score", "--seed", 5, "--json")
    expected = run("score", tmp_path / "same.npz", *asked)
    ended = run("score", write(found, tmp_path / f"own.{kind}"), *asked)
    assert (ended.code, ended.json) == (0, expected.json)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_column_split_says_which_rows_are_for_testing(kind: str, tmp_path: Path) -> None:
    found = table(tmp_path, split=["test", "train", "train"] * 80)
    arrays = read_arrays(write(found, tmp_path / f"own.{kind}"))
    test = found["split"] == "test"
    assert sorted(arrays) == ["codes", "factor_names", "factors", "test_codes", "test_factors"]
    assert (arrays["test_codes"] == found.loc[test, ["code_0", "code_1"]].to_numpy()).all()
    assert (arrays["factors"] == found.loc[~test, ["factor_shape", "factor_size"]].to_numpy()).all()
    assert arrays["factor_names"].tolist() == ["shape", "size"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"code_1": "a"}, "code_1: wanted a number in each row"),
        ({"split": "validation"}, "split: wanted train or test in each row, got validation"),
        ({"factor_size": 0.5}, "factors.dtype: wanted integers"),
    ],
)
def test_a_column_that_cannot_be_right_is_named(
    columns: dict[str, Any], message: str, run: Any, tmp_path: Path
) -> None:
    ended = run("score", write(table(tmp_path, **columns), tmp_path / "own.csv"), "--metrics", "mig")
    assert ended.code == 2
    assert message in " ".join(ended.err.split())


def test_a_table_without_codes_says_what_columns_it_has(tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match=r"factors: wanted columns factor_\.\.\. in .*own.csv, got columns code_0, note"
    ):
        read_arrays(write(table(tmp_path)[["code_0", "note"]], tmp_path / "own.csv"))


@pytest.mark.parametrize("name", ["bad.csv", "bad.parquet"])
def test_damaged_tables_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\xff\xfe\x00PAR1,,\n\x80")
    with pytest.raises(SpecError):
        read_arrays(tmp_path / name)


def test_messages_name_factors(run: Any, tmp_path: Path) -> None:
    ended = run("score", write(table(tmp_path, factor_size=1), tmp_path / "own.csv"), "--metrics", "mig", "--json")
    assert "factors[:, 1] (size) is 1 at every point" in ended.json["mig"]["error"]["message"]
    path = independent(tmp_path, factor_names=np.array(["shape"]))
    ended = run("score", path, "--metrics", "mig")
    assert (ended.code, "factor_names" in ended.err) == (2, True)


def test_a_number_of_points_is_drawn_where_it_is_set(run: Any, tmp_path: Path) -> None:
    path = write(table(tmp_path), tmp_path / "own.csv")
    asked = ("score", path, "--metrics", "sap_score", "--json", "--set")
    scores = [run(*asked, f"sap_score.num_train={num}").json["sap_score"]["SAP_score"] for num in (40, 40, 41)]
    assert scores[0] == scores[1] != scores[2]
    assert run(*asked, "sap_score.num_train=241").code == 4


def test_a_metric_without_a_value_says_why_and_the_others_have_theirs(run: Any, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 3, (50, 2))
    ended = run("score", independent(tmp_path, codes=rows * 1.0, factors=rows), "-m", "mig,factor_vae_score", "--json")
    assert ended.code == 4
    assert "discrete_mig" in ended.json["mig"]
    assert ended.json["factor_vae_score"]["error"]["reason"] == "METRIC_UNDEFINED"


@pytest.mark.parametrize(
    ("arrays", "field"),
    [
        ({"codes": np.zeros((5, 2))}, "codes"),
        ({"codes": np.array(["a"] * 240)}, "codes"),
        ({"factors": np.full((240, 2), 0.5)}, "factors"),
        ({"test_codes": np.zeros((5, 2))}, "test_factors"),
    ],
)
def test_wrong_arrays_are_named(arrays: dict[str, Any], field: str, run: Any, tmp_path: Path) -> None:
    ended = run("score", independent(tmp_path, **arrays), "--metrics", "mig")
    assert ended.code == 2
    assert ended.err.startswith("error: ") or "\nerror: " in ended.err
    assert field in ended.err


def test_a_code_that_is_no_number_is_named_with_its_row(run: Any, tmp_path: Path) -> None:
    ended = run("score", independent(tmp_path, codes=np.full((240, 2), np.nan)), "--metrics", "mig", "--json")
    assert ended.code == 4
    assert "codes[:, 0] is nan at row 0" in ended.json["mig"]["error"]["message"]


def test_what_is_not_built_yet_is_said_before_anything_is_read(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(METRICS, "irs")
    ended = run("score", tmp_path / "missing.npz", "--metrics", "irs")
    assert ended.code == 2
    assert "irs" in ended.err


def test_a_file_that_is_not_there_is_not_found(run: Any, tmp_path: Path) -> None:
    assert run("score", tmp_path / "missing.npz", "--metrics", "mig").code == 3


def test_python_objects_are_never_loaded(run: Any, tmp_path: Path) -> None:
    bomb = np.array([{"anything": 1}], dtype=object)
    np.savez(tmp_path / "bomb.npz", codes=bomb, factors=bomb)
    ended = run("score", tmp_path / "bomb.npz", "--metrics", "mig")
    assert ended.code == 2
    assert "Object arrays cannot be loaded" in ended.err


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x04K\x01.", b"no archive at all", b"\x93NUMPY\x01\x00"])
def test_files_of_another_kind_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "odd.npz").write_bytes(content)
    with pytest.raises(SpecError):
        read_arrays(tmp_path / "odd.npz")


def test_a_directory_and_a_single_array_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    for path in (tmp_path, tmp_path / "one.npy"):
        with pytest.raises(SpecError):
            read_arrays(path)
    with pytest.raises(ArtifactNotFound):
        read_arrays(tmp_path / "none.npz")


def test_an_array_that_claims_more_memory_than_there_is_is_refused(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000, 100), }"
    header += b" " * (117 - len(header)) + b"\n"
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        for name in ("codes.npy", "factors.npy"):
            archive.writestr(name, b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises((SpecError, ResourceExhausted)):
        read_arrays(tmp_path / "huge.npz")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=20),
    cut=st.integers(0, 10_000),
)
def test_a_damaged_file_is_read_or_refused_but_never_crashes(
    changes: list[tuple[int, int]], cut: int, tmp_path: Path
) -> None:
    path = tmp_path / "good.npz"
    np.savez_compressed(path, codes=np.zeros((20, 2)), factors=np.zeros((20, 2), np.int64))
    data = bytearray(path.read_bytes())
    for position, value in changes:
        data[position % len(data)] = value
    (tmp_path / "bad.npz").write_bytes(data[: len(data) - cut % len(data)] if cut % 3 == 0 else data)
    with contextlib.suppress(SpecError, ResourceExhausted):
        read_arrays(tmp_path / "bad.npz")


def test_a_standard_error_stands_beside_its_score(run: Any, tmp_path: Path) -> None:
    path = write(table(tmp_path), tmp_path / "own.csv")
    plain = run("score", path, "--metrics", "mig", "--json").json["mig"]
    scores = run("score", path, "--metrics", "mig", "--standard-error", "--json").json["mig"]
    assert list(scores) == ["discrete_mig", "discrete_mig.standard_error"]
    assert scores["discrete_mig"] == plain["discrete_mig"]
    assert 0 < scores["discrete_mig.standard_error"] < 0.2
    shown = run("score", path, "--metrics", "mig", "--standard-error").out
    value, error = scores.values()
    assert f"{value:.4f} ± {error:.4f}" in shown


def test_a_file_or_an_encoder_with_a_data_set_is_wanted(run: Any, tmp_path: Path) -> None:
    for wrong in ([], ["--onnx", "a.onnx"], ["--dataset", "dummy_data"], [independent(tmp_path), "--onnx", "a.onnx"]):
        ended = run("score", *wrong, "--metrics", "mig")
        assert (ended.code, "--onnx and --dataset" in ended.err) == (2, True)


def test_a_data_set_that_the_store_does_not_hold_is_named(run: Any) -> None:
    ended = run("score", "--onnx", "a.onnx", "--dataset", "dummy_data", "--metrics", "mig")
    assert (ended.code, "disentangle data import dummy_data" in " ".join(ended.err.split())) == (2, True)
