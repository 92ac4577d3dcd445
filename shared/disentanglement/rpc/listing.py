"""One page of a list whose items are looked at one by one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from disentanglement.rpc.pages import after_token, page_size, token_after

Item = TypeVar("Item")


async def page(
    request: Any,
    listed: str,
    names: Callable[[], Awaitable[Sequence[str]]],
    load: Callable[[str], Awaitable[Item]],
    *,
    wanted: Callable[[Item], bool] = lambda _: True,
) -> tuple[list[Item], str]:
    """The items that a List request asks for, and the token of the next page (empty on the last one).

    Raises:
        SpecError: page_size or page_token are wrong.
    """
    size = page_size(request.page_size)
    after_token((), listed, request.page_token)
    remaining = after_token(await names(), listed, request.page_token)
    items: list[Item] = []
    for position, name in enumerate(remaining):
        item = await load(name)
        if wanted(item):
            items.append(item)
        if len(items) == size:
            is_last = position + 1 == len(remaining)
            return items, "" if is_last else token_after(listed, name)
    return items, ""
