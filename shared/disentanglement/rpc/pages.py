"""Lists page by page: a token says after which item of which list the next page begins."""

from __future__ import annotations

import base64
import binascii
import json
from bisect import bisect_right
from collections.abc import Sequence

from disentanglement.errors import SpecError

DEFAULT_SIZE, LARGEST_SIZE = 50, 1000


def page_size(asked: int) -> int:
    """How many items a page has; SpecError for a negative number."""
    if asked < 0:
        raise SpecError.of("page_size", f"0 (for {DEFAULT_SIZE}) or more", asked)
    return min(asked or DEFAULT_SIZE, LARGEST_SIZE)


def after_token(items: Sequence[str], listed: str, token: str) -> Sequence[str]:
    """The items (in order) after the one that a token of the same list names; all without a token."""
    return items[bisect_right(items, _last(listed, token)) :] if token else items


def offset_of(listed: str, token: str) -> int:
    """Where a page begins, for lists whose items have numbers."""
    if not token:
        return 0
    last = _last(listed, token)
    if not last.isdecimal() or len(last) > 12:
        raise _wrong(token)
    return int(last)


def token_after(listed: str, last: str) -> str:
    """The token of the page after `last` in the list called `listed`."""
    return base64.urlsafe_b64encode(json.dumps([listed, last]).encode()).decode()


def _last(listed: str, token: str) -> str:
    try:
        name, last = json.loads(base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise _wrong(token) from None
    if name != listed or not isinstance(last, str):
        raise _wrong(token)
    return last


def _wrong(token: str) -> SpecError:
    return SpecError.of("page_token", "the next_page_token of the page before, of the same list", repr(token[:80]))
