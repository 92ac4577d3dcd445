"""Scoring what was made elsewhere, from Python: codes as arrays, or an encoder and a data set to apply it to.

Shapes: B images of H x W pixels and C channels, P stored points, D codes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from disentanglement.datasets.ground_truth import GridData
from disentanglement.errors import DisentanglementError, MetricUndefined, NotBuiltYet, SpecError
from disentanglement.metrics.arrays import Codes, as_codes
from disentanglement.metrics.engine import evaluate_metrics
from disentanglement.metrics.metric import MetricResult
from disentanglement.metrics.progress import Progress, part_of, silent
from disentanglement.metrics.sampling.representations import GridRepresentation
from disentanglement.metrics.scoring import Outcome, read_metrics, score_arrays
from disentanglement.metrics.uncertainty import with_standard_errors
from disentanglement.specs.metrics import MetricSpec
from disentanglement.storage.cache import Cache
from disentanglement.storage.data_sets import data_set_digests, open_data_set
from disentanglement.storage.settings import cache_directory, default_store, open_store

Encode = Callable[[NDArray[np.float32]], ArrayLike]
"""From images [B, H, W, C] in [0, 1] to codes [B, D]."""

IMAGES_PER_BATCH = 256
ENCODING = 0.8
"""The share of progress that encoding has."""


def score(
    codes: ArrayLike | None = None,
    factors: ArrayLike | None = None,
    *,
    metrics: Iterable[str | MetricSpec],
    encode: Encode | None = None,
    dataset: str | None = None,
    test_codes: ArrayLike | None = None,
    test_factors: ArrayLike | None = None,
    seed: int = 0,
    standard_error: bool = False,
    store: str | Path | None = None,
    progress: Progress = silent,
) -> dict[str, Outcome]:
    """Scores of codes [N, D] against factors [N, K], or of an encoder on a data set of the store, by metric.

    Arrays are scored as `score_arrays` says. With `encode` and `dataset` every image of the data set is encoded
    once, and metrics draw their points from all of them, as for models trained here: the scores are comparable with
    published ones where the data set is. `store` is a path or a URL, by default DISENTANGLEMENT_STORE.

    Raises SpecError for arrays and an encoder together, neither of them, a data set that the store does not hold,
    and what `score_arrays` raises it for; MetricUndefined where the encoder gives no codes.
    """
    if encode is None:
        if codes is None or factors is None or dataset is not None:
            raise SpecError.of("codes", "codes and factors, or encode and dataset", "something else")
        return score_arrays(
            codes,
            factors,
            test_codes=test_codes,
            test_factors=test_factors,
            metrics=metrics,
            seed=seed,
            standard_error=standard_error,
            progress=progress,
        )
    if dataset is None or any(array is not None for array in (codes, factors, test_codes, test_factors)):
        raise SpecError.of("encode", "encode and dataset without arrays", "something else")
    specs = read_metrics(metrics)
    data = open_images(dataset, store)
    shown = GridRepresentation(data, encoded(encode, data, progress=part_of(progress, 0.0, ENCODING)))
    results = evaluate_metrics(specs.values(), shown, seed, progress=part_of(progress, ENCODING, 1.0))
    return {label: _outcome(specs[label], result, shown, seed, standard_error) for label, result in results.items()}


def encoded(encode: Encode, data: GridData, *, progress: Progress = silent) -> Codes:
    """Codes [P, D] of every stored image, in their order.

    Raises MetricUndefined where they are not one row of numbers for each image.
    """
    parts: list[Codes] = []
    for start in range(0, data.num_points, IMAGES_PER_BATCH):
        rows_B = np.arange(start, min(start + IMAGES_PER_BATCH, data.num_points))
        codes_BD = as_codes(np.asarray(encode(data.observations(rows_B))), "codes of the encoder")
        if len(codes_BD) != len(rows_B) or (parts and codes_BD.shape[1:] != parts[0].shape[1:]):
            raise MetricUndefined(f"the encoder gives codes {list(codes_BD.shape)} for {len(rows_B)} images")
        parts.append(codes_BD)
        progress((start + len(rows_B)) / data.num_points)
    return np.concatenate(parts)


def onnx_encoder(path: str | Path, image_shape: tuple[int, int, int]) -> Encode:
    """The encoder of an ONNX file, in one thread: its first output, for its first input.

    Images go in as [B, H, W, C], or as [B, C, H, W] where the file says so.

    Raises NotBuiltYet where onnxruntime is missing, SpecError for a file that it can't load and other images.
    """
    try:
        onnxruntime: Any = import_module("onnxruntime")  # seconds to load, and rarely needed
    except ImportError as error:
        raise NotBuiltYet("ONNX encoders need onnxruntime, which is not installed: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an exception of its own for each of its statuses
        raise SpecError.of("onnx", "an encoder that onnxruntime loads", f"{path}: {error}") from error
    taken, given = session.get_inputs()[0], session.get_outputs()[0]
    channels_first = _channels_first(taken.shape, image_shape)

    def encode(images_BHWC: NDArray[np.float32]) -> NDArray[Any]:
        images = np.moveaxis(images_BHWC, 3, 1) if channels_first else images_BHWC
        (codes_BD,) = session.run([given.name], {taken.name: np.ascontiguousarray(images, dtype=np.float32)})
        return np.asarray(codes_BD).reshape(len(images), -1)

    return encode


def _channels_first(shape: list[Any], image_shape: tuple[int, int, int]) -> bool:
    """Whether a graph wants channels first. Sizes that it leaves open are texts, or None."""
    height, width, channels = image_shape

    def fits(wanted: tuple[int, int, int]) -> bool:
        pairs = zip(shape[1:], wanted, strict=True)
        return all(size == known or not isinstance(size, int) for size, known in pairs)

    if len(shape) == 4 and fits((height, width, channels)):
        return False
    if len(shape) == 4 and fits((channels, height, width)):
        return True
    raise SpecError.of("onnx", f"an encoder of images [batch, {height}, {width}, {channels}]", f"one of {shape}")


def open_images(name: str, store: str | Path | None) -> GridData:
    """A data set of the store by its name, with its images; SpecError where the store does not hold it."""
    opened = open_store(str(store) if store is not None else default_store(os.environ))
    digests = data_set_digests(opened, [name])
    if name not in digests:
        raise SpecError.of("dataset", f"a data set that the store holds (`disentangle data import {name}`)", name)
    return open_data_set(opened, Cache(cache_directory()), name, digests[name])


def _outcome(
    spec: MetricSpec,
    result: MetricResult | DisentanglementError,
    shown: GridRepresentation,
    seed: int,
    standard_error: bool,
) -> Outcome:
    if isinstance(result, DisentanglementError):
        return result
    return with_standard_errors(spec, result, shown, seed) if standard_error else result.scores()
