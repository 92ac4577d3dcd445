"""Every data set, small: few values of each factor, images of noise, cards of their own under the real names."""

from __future__ import annotations

import math
from pathlib import Path

from numpy.random import default_rng

from disentanglement.datasets.card import DataCard
from disentanglement.datasets.catalog import DATA_SETS
from disentanglement.datasets.images import StoredImages
from disentanglement.storage.data_sets import import_data_set
from disentanglement.storage.store import Store, measure_file

FEW = 3
"""Values of a factor at most; 2 where there are seven factors."""


def import_small(store: Store, name: str, folder: Path) -> DataCard:
    """Puts a small data set into a store; its card."""
    entry = DATA_SETS[name]
    few = 2 if len(entry.factors) > 6 else FEW
    factors = tuple(factor.model_copy(update={"size": min(factor.size, few)}) for factor in entry.factors)
    sprites = factors[2:] if name == "abstract_dsprites" else factors
    num = entry.size if name == "dummy_data" else math.prod(factor.size for factor in sprites)
    path = folder / f"{name}.npy"
    stored = StoredImages.allocate(path, entry.encoding, num, entry.shape)
    stored[:] = default_rng(0).integers(256, size=stored.shape)
    stored.flush()  # type: ignore[attr-defined]
    measured = measure_file(path)
    card = DataCard.of(
        name=name,
        origin="generated",
        images_sha256=measured.sha256,
        images_bytes=measured.size,
        num_images=num,
        encoding=entry.encoding,
        observation_shape=entry.observed or entry.shape,
        factors=entry.factors if name == "dummy_data" else factors,
    )
    import_data_set(store, card, path)
    return card
