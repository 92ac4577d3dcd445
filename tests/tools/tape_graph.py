"""A stand-in for a CUDA graph on a CPU: records the operations themselves, with the tensors that they were given.

Like the real one it runs no Python when it replays. A number that the host put into an operation stays what it was, a
tensor that was made anew for each iteration stays the old one, and the results differ from those of the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True, slots=True)
class Operation:
    """One call below autograd."""

    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[Tensor]

    @property
    def writes(self) -> bool:
        """Whether it changes an argument."""
        return any(argument.alias_info and argument.alias_info.is_write for argument in self.function._schema.arguments)

    @property
    def is_view(self) -> bool:
        """Whether its result is memory of an argument."""
        return any(result.alias_info and not result.alias_info.is_write for result in self.function._schema.returns)

    def again(self) -> None:
        """Into the tensors that it gave the first time."""
        if self.is_view:
            return
        results = [leaf for leaf in tree_leaves(self.function(*self.args, **self.kwargs)) if isinstance(leaf, Tensor)]
        if not self.writes:
            for before, now in zip(self.outputs, results, strict=True):
                before.copy_(now)


class Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down every operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.operations.append(Operation(func, args, kwargs or {}, outputs))
        return result


class TapeGraph:
    """A `Graph`; while it records, the operations happen, so the first replay has nothing to do."""

    def __init__(self) -> None:
        self._tape = Tape()
        self._has_just_happened = False
        self.num_replays = 0

    def warm_up(self, function: Callable[[], None]) -> None:
        """As it is."""
        function()

    def record(self, function: Callable[[], None]) -> None:
        """Once."""
        assert not self._tape.operations, "recorded twice"
        with self._tape:
            function()
        self._has_just_happened = True

    @torch.no_grad()
    def replay(self) -> None:
        """The operations in their order."""
        self.num_replays += 1
        if self._has_just_happened:
            self._has_just_happened = False
            return
        for operation in self._tape.operations:
            operation.again()
