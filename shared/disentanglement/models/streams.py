"""Random numbers as functions of (seed, stream, iteration): nothing to save, and a resumed run draws the same.

Numbers come from a counter-based generator on the host (Philox; Salmon et al., 2011), whose key holds the seed and
the stream and whose counter holds the block of iterations: streams cannot overlap, and every device sees the same
numbers. A block is drawn and moved to the device at once; a run that resumes inside a block draws that block again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ITERATIONS_PER_BLOCK = 64


class Stream(IntEnum):
    """Every purpose has numbers of its own. Never renumber: trained models depend on it."""

    INITIALISATION = 1
    BATCH_ROWS = 2
    LATENT = 3
    PERMUTATION = 4
    DATA = 5
    EVALUATION_ROWS = 6
    EVALUATION_LATENT = 7
    EVALUATION_PERMUTATION = 8
    PAIRS = 9
    EVALUATION_PAIRS = 10
    OBSERVATION = 11
    EVALUATION_OBSERVATION = 12


def generator(seed: int, stream: Stream, counter: int, *, draw: int = 0) -> np.random.Generator:
    """The numbers of one `counter` (a block, a variable) of one stream; `draw` tells uses in an iteration apart."""
    key = np.array([seed, stream + (draw << 8)], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, 0, 0, counter], dtype=np.uint64)))


def variable_generator(seed: int, variable: str) -> np.random.Generator:
    """Initial values of one variable: they do not depend on which other variables a model has."""
    digest = hashlib.blake2b(variable.encode(), digest_size=8).digest()
    return generator(seed, Stream.INITIALISATION, int.from_bytes(digest, "little"))


Draw = Callable[[np.random.Generator, int], NDArray[np.generic]]


class BlockStream:
    """One tensor for each iteration; `draw(generator, n)` makes those of n iterations, stacked."""

    def __init__(self, seed: int, stream: Stream, draw: Draw, *, device: torch.device, index: int = 0) -> None:
        self._seed, self._stream, self._index = seed, stream, index
        self._draw = draw
        self._device = device
        self._block = -1
        self._values = torch.empty(0)

    def at(self, iteration: int) -> Tensor:
        """The numbers of an iteration, whichever were asked for before."""
        block, offset = divmod(iteration, ITERATIONS_PER_BLOCK)
        if block != self._block:
            values = self._draw(generator(self._seed, self._stream, block, draw=self._index), ITERATIONS_PER_BLOCK)
            self._values = torch.from_numpy(values).to(self._device, non_blocking=True)
            self._block = block
        return self._values[offset]


def observation_draws(seed: int, batch_size: int, device: torch.device, evaluation: bool, draw: int = 0) -> BlockStream:
    """A number for each image of a batch, by which it is observed."""
    stream = Stream.EVALUATION_OBSERVATION if evaluation else Stream.OBSERVATION
    return BlockStream(
        seed, stream, lambda rng, n: rng.integers(2**62, size=(n, batch_size)), device=device, index=draw
    )


@dataclass(frozen=True, slots=True)
class IterationNoise:
    """The random numbers that an objective sees in one iteration; each `draw` is independent of the others."""

    streams: Streams
    iteration: int

    def latent(self, draw: int = 0) -> Tensor:
        """Standard normal noise `[B, Z]`."""
        return self.streams.latent(self.iteration, draw)

    def permutations(self, count: int, length: int, draw: int = 0) -> Tensor:
        """Uniformly random permutations of 0 to length - 1, int64 `[count, length]`."""
        return self.streams.permutations(self.iteration, count, length, draw)


class Streams:
    """All random numbers of one training run, or of its evaluation. Shapes: B batch, Z latents."""

    def __init__(
        self,
        seed: int,
        *,
        num_rows: int,
        batch_size: int,
        num_latent: int,
        device: torch.device,
        evaluation: bool,
        rows_seed: int | None = None,
    ) -> None:
        """`rows_seed` draws the batches where they have a seed of their own; evaluation then begins with training's."""
        self._seed, self._device = seed, device
        self._shape = (batch_size, num_latent)
        self._latent_stream = Stream.EVALUATION_LATENT if evaluation else Stream.LATENT
        self._permutation_stream = Stream.EVALUATION_PERMUTATION if evaluation else Stream.PERMUTATION
        self._rows = BlockStream(
            seed if rows_seed is None else rows_seed,
            Stream.EVALUATION_ROWS if evaluation and rows_seed is None else Stream.BATCH_ROWS,
            lambda rng, n: rng.integers(num_rows, size=(n, batch_size)),
            device=device,
        )
        self._evaluation = evaluation
        self._observations: dict[int, BlockStream] = {}
        self._latent: dict[int, BlockStream] = {}
        self._permutations: dict[tuple[int, int, int], BlockStream] = {}

    def rows(self, iteration: int) -> Tensor:
        """Rows of the batch, int64 `[B]`: uniform over a complete grid, so every factor is uniform and independent."""
        return self._rows.at(iteration)

    def observations(self, iteration: int, draw: int = 0) -> Tensor:
        """Draws of the images in the batch, int64 `[B]`, for data that are drawn anew for each image."""
        if draw not in self._observations:
            size, _ = self._shape
            self._observations[draw] = observation_draws(self._seed, size, self._device, self._evaluation, draw)
        return self._observations[draw].at(iteration)

    def latent(self, iteration: int, draw: int) -> Tensor:
        """Standard normal noise `[B, Z]`."""
        if draw not in self._latent:
            self._latent[draw] = BlockStream(
                self._seed, self._latent_stream, self._normal, device=self._device, index=draw
            )
        return self._latent[draw].at(iteration)

    def permutations(self, iteration: int, count: int, length: int, draw: int) -> Tensor:
        """Uniformly random permutations of 0 to length - 1, int64 `[count, length]`."""
        kind = (count, length, draw)
        if kind not in self._permutations:
            self._permutations[kind] = BlockStream(
                self._seed,
                self._permutation_stream,
                lambda rng, n: rng.permuted(np.tile(np.arange(length), (n, count, 1)), axis=2),
                device=self._device,
                index=draw,
            )
        return self._permutations[kind].at(iteration)

    def at(self, iteration: int) -> IterationNoise:
        """What an objective sees of the streams in one iteration."""
        return IterationNoise(self, iteration)

    def _normal(self, rng: np.random.Generator, num_iterations: int) -> NDArray[np.float32]:
        return rng.standard_normal((num_iterations, *self._shape), dtype=np.float32)
