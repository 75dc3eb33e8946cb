"""What an API token lets its program do. project/scopes.py lists the scopes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import Promise
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, kw_only=True)
class Scope:
    """One thing to be allowed. Its name is what programmers read, its words are what administrators tick."""

    name: str
    """``what:act``, such as ``tasks:read``."""
    words: str | Promise
    usual: bool = False
    """Ticked already where a token is made."""


TASKS_READ = Scope(name="tasks:read", words=_("See what became of a task"), usual=True)
PAYLOADS_READ = Scope(name="payloads:read", words=_("See what a task returned, too, and what it reports of itself"))


@lru_cache(maxsize=1)
def registry() -> Mapping[str, Scope]:
    """The scopes that ``settings.TASKYARD_SCOPES`` names, by name, in their order."""
    listed: Iterable[Scope] = import_string(settings.TASKYARD_SCOPES)
    found: dict[str, Scope] = {}
    for scope in listed:
        if scope.name in found:
            raise ImproperlyConfigured(f"The scope {scope.name!r} is listed twice in project/scopes.py.")
        found[scope.name] = scope
    return found
