"""How each pod of the scale test shall end: chosen by model number, so that the end of the study is known before.

| models            | step     | what happens                                                                    |
|-------------------|----------|---------------------------------------------------------------------------------|
| 7 modulo 420      | train    | a failure record and exit 78: the index fails at once                           |
| 13 modulo 100     | train    | exit 75 at the first try, then it succeeds                                      |
| 500 modulo 1000   | train    | exit 1 at every try and no record: the controller must write one (*)            |
| 42 modulo 500     | evaluate | as 7 modulo 420, for one of the scores                                          |
| 29 modulo 100     | evaluate | as 13 modulo 100                                                                |
| 1111 modulo 2000  | evaluate | as 500 modulo 1000 (*)                                                          |

(*) Of the first 6,000: six tries take five minutes of growing pauses, and the last models shall not wait for them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from disentanglement.specs import Step

LAST_LOST = 6_000
CHOSEN_MESSAGE = "chosen to fail by the test"


class Fate(Enum):
    """What becomes of the steps of one model."""

    COMMITTED = "committed"
    RETRIED = "retried"
    REFUSED = "refused"
    """Fails for good, and the worker writes why."""
    LOST = "lost"
    """Fails for good, and nobody writes anything."""


def fate(step: Step, number: int) -> Fate:
    """What is chosen for a model's pod."""
    if step == "train":
        return _chosen(number, refused=(420, 7), lost=(1000, 500), retried=(100, 13))
    if step == "evaluate":
        return _chosen(number, refused=(500, 42), lost=(2000, 1111), retried=(100, 29))
    return Fate.COMMITTED


def _chosen(number: int, *, refused: tuple[int, int], lost: tuple[int, int], retried: tuple[int, int]) -> Fate:
    for fate, (modulus, rest) in ((Fate.REFUSED, refused), (Fate.LOST, lost), (Fate.RETRIED, retried)):
        if number % modulus == rest and not (fate is Fate.LOST and number >= LAST_LOST):
            return fate
    return Fate.COMMITTED


@dataclass(frozen=True, slots=True)
class Expected:
    """How the study must end."""

    trained: int
    evaluated: int
    failed: int
    records_by_workers: int
    """Models whose worker writes a failure record."""
    records_by_controller: int
    """Models whose failure nobody but the controller can write down."""


def expected(numbers: Iterable[int]) -> Expected:
    """The end of a study of these models, without any other trouble."""
    trained = evaluated = refused = lost = 0
    for number in numbers:
        fates = [fate("train", number)]
        if fates[0] in (Fate.COMMITTED, Fate.RETRIED):
            trained += 1
            fates.append(fate("evaluate", number))
        refused += Fate.REFUSED in fates
        lost += Fate.LOST in fates
        evaluated += len(fates) == 2 and fates[1] in (Fate.COMMITTED, Fate.RETRIED)
    return Expected(trained, evaluated, refused + lost, refused, lost)
