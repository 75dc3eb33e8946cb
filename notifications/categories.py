"""Why people are written to: each category of notifications is one small object, listed in project/categories.py."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")


class WhenUnknown(StrEnum):
    """What becomes of a delivery that a server may have taken, and could not say so."""

    REPEAT = "repeat"
    """It is sent again, under the same Message-ID: twice rather than never."""
    ASK = "ask"
    """It waits for somebody to decide in the admin: never rather than twice."""


@dataclass(frozen=True, kw_only=True)
class Category:
    """Notifications of one purpose. ``required`` ones, such as a password reset, cannot be unsubscribed from."""

    name: str
    title: str = ""
    """What recipients read on the page of their preferences."""
    description: str = ""
    required: bool = False
    when_unknown: WhenUnknown = WhenUnknown.REPEAT
    give_up_after: timedelta = timedelta(hours=24)
    """From its first attempt on, a delivery that is refused for now, or whose server is away, is tried for so long."""

    def __post_init__(self) -> None:
        if not self.title:
            object.__setattr__(self, "title", self.name.replace("_", " ").capitalize())
        for problem in self._problems():
            raise ImproperlyConfigured(f"Category {self.name!r} in project/categories.py: {problem}")

    def _problems(self) -> Iterator[str]:
        if not _NAME.match(self.name):
            yield "its name must be up to 40 small letters, digits and underscores, such as account_security."
        if self.give_up_after <= timedelta():
            yield f"give_up_after is {self.give_up_after}; it must be longer than nothing."


class UnknownCategory(ValueError):
    """A category that is not listed; the message names those that are."""


def get(name: str) -> Category:
    """Raises UnknownCategory."""
    try:
        return registry()[name]
    except KeyError:
        raise UnknownCategory(f"{name!r} is no category; use one of {', '.join(registry())}.") from None


@lru_cache(maxsize=1)
def registry() -> Mapping[str, Category]:
    """The categories that ``settings.TASKYARD_CATEGORIES`` names, in their order; the first is the default."""
    listed: Iterable[Category] = import_string(settings.TASKYARD_CATEGORIES)
    found: dict[str, Category] = {}
    for category in listed:
        if category.name in found:
            raise ImproperlyConfigured(f"Category {category.name!r} is listed twice in project/categories.py.")
        found[category.name] = category
    if not found:
        raise ImproperlyConfigured("project/categories.py lists no category. List at least one.")
    return found


def default() -> str:
    return next(iter(registry()))
