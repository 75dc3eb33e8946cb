"""The words of the search language: what each means, and what can be typed next."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from celery import current_app, states
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from routing.console.result_rows import STATES
from routing.console.searching.terms import NO_DOMAIN
from routing.domains import registry
from routing.router import BUILT_IN


@dataclass(frozen=True)
class Word:
    """``example`` is a whole word of a search; ``repeats`` where it may be given more than once."""

    name: str
    example: str
    means: str
    repeats: bool = False


WORDS = {
    word.name: word
    for word in (
        Word("state", "state:failure,revoked", gettext_noop("How it ended, or where it is")),
        Word("task", "task:reporting.*", gettext_noop("The task's name; * stands for any characters")),
        Word("domain", "domain:notifications", gettext_noop("The domain that claims it; domain:- for none")),
        Word("queue", "queue:notifications.bulk", gettext_noop("The queue it went to")),
        Word("worker", "worker:app-1", gettext_noop("Part of its worker's name"), repeats=True),
        Word(
            "since", "since:2d", gettext_noop("Enqueued so long ago or later; also today, 2026-11-12, 2026-11-12T14:00")
        ),
        Word("until", "until:1h", gettext_noop("Enqueued before that")),
        Word("waited", "waited:>5s", gettext_noop("From enqueueing to its start: > or <, and ms, s, m, h, d or w")),
        Word("ran", "ran:<200ms", gettext_noop("How long it ran")),
        Word("args", "args.user_id:42", gettext_noop("A named argument, at any depth, with this value"), repeats=True),
        Word("error", "error:timeout", gettext_noop("Text in its error or traceback"), repeats=True),
        Word("id", "id:0b8e6f2a-…", gettext_noop("The task's id; it can also be given alone")),
    )
}
STATE_NAMES = {"waiting": states.PENDING, "running": states.STARTED, **{name.lower(): name for name in STATES}}


@dataclass(frozen=True)
class Vocabulary:
    """The names that there are."""

    domains: tuple[str, ...]
    queues: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()


def vocabulary() -> Vocabulary:
    return Vocabulary(tuple(domain.name for domain in registry()), tuple(registry().pools), known_tasks())


@lru_cache(maxsize=1)
def known_tasks() -> tuple[str, ...]:
    """Tasks that the code knows. The web process itself runs none, so nothing else may have imported them."""
    autodiscover_modules("tasks")
    return tuple(sorted(name for name in current_app.tasks if not name.startswith(BUILT_IN)))


def completions(known: Vocabulary) -> list[str]:
    """Whole words, and beginnings of those that end in what nobody can know."""
    return [
        *_each("state", ("failure", "success", "revoked", "ignored", "waiting", "running", "retry")),
        *_each("domain", (*known.domains, NO_DOMAIN)),
        *_each("task", _patterns(known.tasks)),
        *_each("queue", known.queues),
        *_each("since", ("1h", "today", "yesterday", "2d", "7d")),
        *_each("until", ("1h", "today", "2d")),
        *_each("waited", (">5s", ">1m")),
        *_each("ran", (">5s", ">1m")),
        *("worker:", "args.", "error:", "id:"),
    ]


def _each(name: str, values: Iterable[str]) -> Iterator[str]:
    return (f"{name}:{value}" for value in values)


def _patterns(tasks: Iterable[str]) -> list[str]:
    groups = dict.fromkeys(f"{name.rpartition('.')[0]}.*" for name in tasks if "." in name)
    return sorted([*groups, *tasks])


HINT = _('state:failure task:reporting.* since:2d "some text"')
