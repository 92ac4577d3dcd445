"""Encoders made elsewhere, applied to a data set of the store."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import tiny_steps
from numpy.typing import NDArray

import disentanglement
from disentanglement.errors import DisentanglementError, MetricUndefined, SpecError
from disentanglement.metrics import evaluate_metric
from disentanglement.metrics.sampling.points import GridRepresentation
from disentanglement.specs.metrics import FactorVaeScore, MetricSpec, Mig
from disentanglement.steps.scoring import onnx_encoder, open_images
from disentanglement.storage.directory_store import DirectoryStore

METRICS = [
    MetricSpec(mig=Mig(num_train=200)),
    MetricSpec(factor_vae_score=FactorVaeScore(num_train=60, num_eval=30, num_variance_estimate=100, batch_size=8)),
]
ROWS = np.random.default_rng(0).normal(size=(64 * 64, 3)).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISENTANGLEMENT_CACHE", str(tmp_path / "cache"))
    tiny_steps.import_dummy_data(DirectoryStore(tmp_path / "store"))
    return tmp_path / "store"


def encode(images: NDArray[np.float32]) -> NDArray[np.float32]:
    assert images.dtype == np.float32
    return images.reshape(len(images), -1) @ ROWS


def test_an_encoder_is_scored_as_a_model_of_the_same_codes(store: Path) -> None:
    shares: list[float] = []
    scores = disentanglement.score(
        encode=encode, dataset="dummy_data", metrics=METRICS, seed=3, store=store, progress=shares.append
    )
    data = open_images("dummy_data", store)
    codes = encode(data.observations(np.arange(data.num_points)))
    shown = GridRepresentation(data, codes)
    assert scores == {spec.word: evaluate_metric(spec, shown, 3).scores() for spec in METRICS}
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)


def test_standard_errors_are_there_for_encoders_too(store: Path) -> None:
    scores = disentanglement.score(
        encode=encode, dataset="dummy_data", metrics=METRICS[:1], store=store, standard_error=True
    )["mig"]
    assert not isinstance(scores, DisentanglementError)
    assert scores["discrete_mig.standard_error"] > 0


def test_an_encoder_that_gives_something_else_than_codes_is_told(store: Path) -> None:
    with pytest.raises(MetricUndefined, match=r"gives codes \[3, 3\] for 256 images"):
        disentanglement.score(encode=lambda images: ROWS[:3], dataset="dummy_data", metrics=["mig"], store=store)


@pytest.mark.parametrize("wrong", [{"codes": ROWS, "encode": encode}, {"encode": encode}, {"codes": ROWS}, {}])
def test_arrays_and_an_encoder_exclude_each_other(wrong: dict[str, object]) -> None:
    with pytest.raises(SpecError, match="wanted"):
        disentanglement.score(metrics=["mig"], **wrong)  # type: ignore[arg-type]


def test_a_data_set_that_is_not_there_is_named(store: Path) -> None:
    with pytest.raises(SpecError, match="dsprites_full"):
        disentanglement.score(encode=encode, dataset="dsprites_full", metrics=["mig"], store=store)


def onnx_file(path: Path, shape: list[object]) -> Path:
    """`encode` as an ONNX graph of images of this shape."""
    onnx = importlib.import_module("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["images"], ["flat"]), helper.make_node("MatMul", ["flat", "rows"], ["mean"])],
        "encoder",
        [helper.make_tensor_value_info("images", floats, shape)],
        [helper.make_tensor_value_info("mean", floats, ["batch", 3])],
        [onnx.numpy_helper.from_array(ROWS, "rows")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("shape", [["batch", 64, 64, 1], ["batch", 1, 64, 64], ["batch", "h", "w", "c"]])
def test_an_onnx_encoder_gives_the_codes_of_its_graph(shape: list[object], tmp_path: Path) -> None:
    found = onnx_encoder(onnx_file(tmp_path / "encoder.onnx", shape), (64, 64, 1))
    images = np.random.default_rng(0).random((5, 64, 64, 1), dtype=np.float32)
    assert np.asarray(found(images)) == pytest.approx(encode(images), rel=1e-4, abs=1e-3)


def test_an_onnx_file_of_other_images_or_none_is_refused(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "encoder.onnx", ["batch", 32, 32, 4])
    with pytest.raises(SpecError, match=r"onnx: wanted an encoder of images \[batch, 64, 64, 1\]"):
        onnx_encoder(path, (64, 64, 1))
    (tmp_path / "none.onnx").write_bytes(b"none")
    with pytest.raises(SpecError, match=r"onnx: wanted an encoder that onnxruntime loads"):
        onnx_encoder(tmp_path / "none.onnx", (64, 64, 1))


def test_colour_channels_that_come_first_are_moved(tmp_path: Path) -> None:
    found = onnx_encoder(onnx_file(tmp_path / "encoder.onnx", ["batch", 4, 32, 32]), (32, 32, 4))
    images = np.random.default_rng(0).random((2, 32, 32, 4), dtype=np.float32)
    assert np.asarray(found(images)) == pytest.approx(encode(images.transpose(0, 3, 1, 2)), rel=1e-4, abs=1e-3)
