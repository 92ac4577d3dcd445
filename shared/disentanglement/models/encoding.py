"""Mean and log-variance of every stored image. Shapes: P points, B batch, Z latents.

The partition into batches is fixed and every batch is computed with one thread, so the numbers do not depend on how
many workers share the batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from disentanglement.models.data.images import TrainingData
from disentanglement.models.networks.empty_ground import Encode, fast_encode
from disentanglement.models.networks.network import Networks
from disentanglement.specs import THREADS_PER_STEP

BATCH_SIZE = 64
"""Small enough for a batch's features to stay in the CPU's cache."""

Progress = Callable[[int, int], None]
"""(points done, points in all)."""


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """Points `start` and following."""

    start: int
    mean_BZ: NDArray[np.float32]
    logvar_BZ: NDArray[np.float32]


def encode_all(
    networks: Networks,
    data: TrainingData,
    *,
    batch_size: int = BATCH_SIZE,
    num_workers: int = 1,
    progress: Progress | None = None,
) -> Iterator[EncodedBatch]:
    """All points in the order of the data; `num_workers` threads change nothing but the time."""
    torch.set_num_threads(THREADS_PER_STEP)
    starts = range(0, len(data), batch_size)
    with torch.inference_mode():
        encode_images = fast_encode(networks, data.image_shape, data.device)

    def encode(start: int) -> EncodedBatch:
        return encode_batch(encode_images, data, start, min(start + batch_size, len(data)))

    with ThreadPoolExecutor(num_workers, initializer=torch.set_num_threads, initargs=(THREADS_PER_STEP,)) as pool:
        for encoded in in_order(pool, encode, starts, ahead=4 * num_workers):
            if progress is not None:
                progress(encoded.start + len(encoded.mean_BZ), len(data))
            yield encoded


def encode_batch(encode: Encode, data: TrainingData, start: int, stop: int) -> EncodedBatch:
    """Points `start` to `stop`, on the host."""
    with torch.inference_mode():
        posterior = encode(data.encoded_images(start, stop))
        return EncodedBatch(start, posterior.mean_BZ.cpu().numpy(), posterior.logvar_BZ.cpu().numpy())


def in_order(
    pool: ThreadPoolExecutor, encode: Callable[[int], EncodedBatch], starts: Iterable[int], *, ahead: int
) -> Iterator[EncodedBatch]:
    """Batches in the order of `starts`, never more than `ahead` of them waiting."""
    waiting: deque[Future[EncodedBatch]] = deque()
    for start in starts:
        waiting.append(pool.submit(encode, start))
        if len(waiting) == ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
