"""A test catalogue: stands in for the data sets and models that a published study names and that do not exist yet.

The data sets are cards in the store without images; the lists of `steps/support.py` are widened in the process that
calls `pretend_all_is_built`. Product code knows nothing of it: only the launcher of the tests (`controller.py`) does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from disentanglement.datasets.card import DataCard, Factor, Origin
from disentanglement.specs import StudySpec
from disentanglement.steps import support
from disentanglement.storage.data_sets import card_key
from disentanglement.storage.store import Store
from disentanglement.studies.plan import training_specs

LISTS = (
    "DATA_SETS",
    "OBJECTIVES",
    "ENCODERS",
    "DECODERS",
    "RECONSTRUCTIONS",
    "OPTIMIZERS",
    "PRECISIONS",
    "REPRESENTATIONS",
    "METRICS",
)


def data_set_names(study: StudySpec) -> list[str]:
    """The data sets that a study reads."""
    return sorted({spec.dataset.name for spec in training_specs(study).values()})


def put_cards(store: Store, names: Iterable[str]) -> dict[str, str]:
    """Cards of data sets that nobody made; their digests."""
    cards = [_card(name) for name in names]
    for card in cards:
        store.put(card_key(card.name, card.digest), card.to_bytes(), if_absent=True)
    return {card.name: card.digest for card in cards}


class Everything(frozenset[str]):
    """A list of words that has every word."""

    def __contains__(self, word: object) -> bool:
        return True


def pretend_all_is_built() -> None:
    """From now on, this process takes every word of the specs for built."""
    for name in LISTS:
        assert hasattr(support, name)
        setattr(support, name, Everything())


def _card(name: str) -> DataCard:
    return DataCard.of(
        name=name,
        origin=Origin.GENERATED,
        images_sha256=hashlib.sha256(name.encode()).hexdigest(),
        images_bytes=1,
        num_images=4,
        encoding="uint8",
        observation_shape=(64, 64, 1),
        factors=(Factor(name="shape", size=2), Factor(name="scale", size=2)),
        origin_note="a card of the test catalogue: there are no images",
    )
