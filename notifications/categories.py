"""Why people are written to: each category of notifications is one small object, listed in project/categories.py."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from routing.errors import PermanentError

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
    title: str | Promise = ""
    """What recipients read on the page of their preferences."""
    description: str | Promise = ""
    required: bool = False
    when_unknown: WhenUnknown = WhenUnknown.REPEAT
    give_up_after: timedelta = timedelta(hours=24)
    """From its first attempt on, a delivery that is refused for now, or whose server is away, is tried for so long."""
    formerly: tuple[str, ...] = ()
    """Names that it had before: what recipients chose under them still counts, and what waits under them is sent."""

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise ImproperlyConfigured(f"Category {self.name!r} in project/categories.py: {problem}")
        if not self.title:
            object.__setattr__(self, "title", self.name.replace("_", " ").capitalize())

    def _problems(self) -> Iterator[str]:
        if not _is_name(self.name):
            yield "its name must be up to 40 small letters, digits and underscores, such as account_security."
        for name in ("title", "description"):
            if not isinstance(getattr(self, name), str | Promise):
                yield f"its {name} is {getattr(self, name)!r}; it must be a text."
        if not isinstance(self.required, bool):
            yield f"required is {self.required!r}; it must be True or False."
        if not isinstance(self.when_unknown, WhenUnknown):
            yield f"when_unknown is {self.when_unknown!r}; use WhenUnknown.REPEAT or WhenUnknown.ASK."
        if not isinstance(self.give_up_after, timedelta) or self.give_up_after <= timedelta():
            yield f"give_up_after is {self.give_up_after!r}; it must be a timedelta longer than nothing."
        if not isinstance(self.formerly, tuple) or not all(map(_is_name, self.formerly)):
            yield f"formerly is {self.formerly!r}; it must be a tuple of names, such as ('offers',)."


def _is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.match(name) is not None


class UnknownCategory(PermanentError, ValueError):
    """A category that is not listed; the message names those that are."""


def get(name: str) -> Category:
    """By its name, or one that it had before. Raises UnknownCategory."""
    try:
        return registry()[renamed(name)]
    except KeyError:
        raise UnknownCategory(f"{name!r} is no category; use one of {', '.join(registry())}.") from None


def names(name: str) -> tuple[str, ...]:
    """That of the category which is, or was, called so, and all that it had before."""
    category = registry().get(renamed(name))
    return (category.name, *category.formerly) if category else (name,)


def renamed(name: str) -> str:
    """The present name of a category; ``name`` itself where it never had another."""
    return former().get(name, name)


@lru_cache(maxsize=1)
def registry() -> Mapping[str, Category]:
    """The categories that ``settings.TASKYARD_CATEGORIES`` names, in their order; the first is the default."""
    listed: Iterable[Category] = import_string(settings.TASKYARD_CATEGORIES)
    found: dict[str, Category] = {}
    for category in listed:
        if not isinstance(category, Category):
            raise ImproperlyConfigured(f"project/categories.py lists {category!r}, which is no Category.")
        if category.name in found:
            raise ImproperlyConfigured(f"Category {category.name!r} is listed twice in project/categories.py.")
        found[category.name] = category
    if not found:
        raise ImproperlyConfigured("project/categories.py lists no category. List at least one.")
    return found


@lru_cache(maxsize=1)
def former() -> Mapping[str, str]:
    """The present name of each category that had another."""
    found: dict[str, str] = {}
    for category in registry().values():
        for name in category.formerly:
            if name in registry() or name in found:
                raise ImproperlyConfigured(
                    f"Category {category.name!r} was formerly {name!r}, as another one is or was. Take it out of one."
                )
            found[name] = category.name
    return found


def check() -> None:
    """Raises ImproperlyConfigured."""
    former()


def default() -> str:
    return next(iter(registry()))
