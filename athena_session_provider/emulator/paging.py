"""Pages of lists that grow and shrink between one page and the next."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DEFAULT_PAGE_SIZE = 50


class Numbered(Protocol):
    """Something that is listed by its age."""

    @property
    def number(self) -> int:
        """Return the number that tells older ones from newer ones."""


Item = TypeVar("Item", bound=Numbered)


def page(
    newest_first: Iterable[Item], query: list[Any], parameters: Mapping[str, Any]
) -> tuple[list[Item], str | None]:
    """Return one page, and the token of the next or None.

    The token names the query and the last item shown, so that items which come or
    go between two pages move nothing from one to the other.
    """
    before = _decode(parameters.get("NextToken"), query)
    size = parameters.get("MaxResults") or DEFAULT_PAGE_SIZE
    found = [item for item in newest_first if before is None or item.number < before]
    shown = found[:size]
    return shown, _encode(query, shown[-1].number) if len(found) > size else None


def _encode(query: list[Any], number: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([query, number]).encode()).decode()


def _decode(token: str | None, query: list[Any]) -> int | None:
    if token is None:
        return None
    try:
        of_query, number = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError, TypeError):
        of_query, number = None, None
    if of_query != query or not isinstance(number, int):
        raise InvalidRequestError("NextToken is not valid")
    return number
