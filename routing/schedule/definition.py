"""What an entry of ``CELERY_BEAT_SCHEDULE`` asks for, checked, and as text that every beat can go by.

    "weekly-report": {
        "task": "reporting.weekly",
        "schedule": crontab(hour=9, minute=0, day_of_week="monday"),
        "timezone": "Europe/Berlin",       # the project's, if left out
        "missed": "latest",                # or "all", or "skip": of what was due while no beat ran
        "deadline": timedelta(hours=12),   # what is later than this is recorded as missed, and not run
    }

``args``, ``kwargs``, ``options`` and ``relative`` are Celery's.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any
from zoneinfo import ZoneInfo

from celery import Celery
from celery.schedules import ParseException, crontab, schedule
from django.utils.translation import gettext as _

from routing import options as known_options
from routing import sensitive
from routing.domains import registry
from routing.schedule.timing import Crontab, Interval, Timing

logger = logging.getLogger(__name__)

LATEST, ALL, SKIP = "latest", "all", "skip"
POLICIES = (LATEST, ALL, SKIP)
KEYS = ("task", "schedule", "args", "kwargs", "options", "relative", "timezone", "missed", "deadline")
ON_TIME = timedelta(minutes=1)
"""What is decided within this time was not missed; no outage, only a beat that was busy."""
LONGEST_NAME, LONGEST_TIMING = 200, 500
SETTING = "CELERY_BEAT_SCHEDULE"


class Unusable(ValueError):
    """An entry that cannot be gone by: what is wrong, the cure, and the number of the system check."""

    def __init__(self, wrong: str, cure: str, check: str = "routing.E006") -> None:
        super().__init__(f"{wrong} {cure}")
        self.wrong, self.cure, self.check = wrong, cure, check


class Unknown(Exception):
    """Not what this process's code can run: it comes from another release, and a beat of that one will."""


@dataclass(frozen=True, slots=True)
class Definition:
    task: str
    timing: Timing
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    missed: str = LATEST
    deadline: float | None = None
    """Seconds."""

    @property
    def fires_each(self) -> bool:
        """Whether each due time that was missed is caught up, and not only the last one."""
        return self.missed == ALL

    @property
    def longest_delay(self) -> timedelta | None:
        if self.deadline is not None:
            return timedelta(seconds=self.deadline)
        return ON_TIME if self.missed == SKIP else None

    def as_text(self) -> str:
        timing = self.timing
        due = (
            {"crontab": timing.fields, "timezone": timing.zone}
            if isinstance(timing, Crontab)
            else {"every": timing.seconds, "by_the_clock": timing.by_the_clock}
        )
        document = {
            "task": self.task,
            "due": due,
            "args": self.args,
            "kwargs": self.kwargs,
            "options": self.options,
            "missed": self.missed,
            "deadline": self.deadline,
        }
        return json.dumps(document, sort_keys=True)

    @property
    def fingerprint(self) -> str:
        """Of all but secret arguments, which are sealed anew each time that they are read."""
        plain = replace(self, args=sensitive.hidden(self.args), kwargs=sensitive.hidden(self.kwargs))
        return hashlib.sha256(plain.as_text().encode()).hexdigest()


def from_text(text: str) -> Definition:
    """Raises Unknown."""
    try:
        document = json.loads(text)
        due = document.pop("due")
        timing: Timing = (
            Crontab(due["crontab"], ZoneInfo(due["timezone"]).key)
            if "crontab" in due
            else Interval(due["every"], due["by_the_clock"])
        )
        return Definition(timing=timing, **document)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Unknown(_("It is written in a form that this release does not know.")) from error


def read_all(app: Celery) -> Iterator[tuple[str, Definition | Unusable]]:
    """Each entry of the setting, or what is wrong with it."""
    for name, spec in app.conf.beat_schedule.items():
        try:
            yield str(name), read(name, spec, app)
        except Unusable as error:
            yield str(name)[:LONGEST_NAME], error
        except Exception as error:  # whatever one entry holds, the others are read
            logger.warning("The schedule entry %r cannot be read", name, exc_info=error)
            yield str(name)[:LONGEST_NAME], Unusable(f"It cannot be read: {error!r:.200}.", f"Correct it in {SETTING}.")


def read(name: object, spec: object, app: Celery) -> Definition:
    """Raises Unusable."""
    _require_form(name, spec)
    assert isinstance(spec, Mapping)  # noqa: S101  (for mypy)
    task = _task(spec, app)
    args, kwargs = _arguments(spec, task, app)
    return Definition(
        task=task,
        timing=_timing(spec, app),
        args=args,
        kwargs=kwargs,
        options=_options(spec),
        missed=_missed(spec),
        deadline=_deadline(spec),
    )


def _require_form(name: object, spec: object) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise Unusable(
            f"Its name is {name!r:.60}.", f"Use text of 1 to {LONGEST_NAME} characters as its key in {SETTING}."
        )
    if not isinstance(spec, Mapping):
        raise Unusable(f"It is {spec!r:.60}.", 'Make it a dict: {"task": …, "schedule": …}.')
    for key in spec:
        if key not in KEYS:
            close = get_close_matches(str(key), KEYS, n=1)
            raise Unusable(
                f"It has a key {key!r}, which is not known.",
                f"Did you mean {close[0]!r}?" if close else f"Use {', '.join(KEYS)}.",
            )
    for key in ("task", "schedule"):
        if spec.get(key) is None:
            raise Unusable(f"It has no {key!r}.", f"Add it in {SETTING}.")


def _task(spec: Mapping[str, Any], app: Celery) -> str:
    task = spec["task"]
    if not isinstance(task, str) or task not in app.tasks:
        close = get_close_matches(str(task), app.tasks, n=1)
        raise Unusable(
            f"It runs the task {task!r}, which does not exist.",
            f"Did you mean {close[0]!r}?" if close else f"Correct its name in {SETTING}.",
        )
    return str(task)


def _arguments(spec: Mapping[str, Any], task: str, app: Celery) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs = spec.get("args") or (), spec.get("kwargs") or {}
    secret = sensitive.of(task)
    if not isinstance(args, list | tuple) or not isinstance(kwargs, Mapping):
        shown = [type(each).__name__ if secret else f"{each!r:.60}" for each in (args, kwargs)]
        raise Unusable(f"Its arguments are {' and '.join(shown)}.", "Make args a list, and kwargs a dict.")
    try:
        plain = json.loads(json.dumps([list(args), dict(kwargs)], allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise Unusable(
            f"Its arguments cannot be written as JSON: {error}.", "Use plain values, and work out the rest in the task."
        ) from error
    try:
        declared: Any = app.tasks[task]
        if declared.typing:
            declared.__header__(*plain[0], **plain[1])
    except TypeError as error:
        raise Unusable(f"The task does not take its arguments: {error}.", "Correct args and kwargs.") from error
    return secret.sealed(*plain) if secret else (plain[0], plain[1])


def _timing(spec: Mapping[str, Any], app: Celery) -> Timing:
    due: Any = spec["schedule"]
    cure = "Use crontab(…), five fields of text such as '0 9 * * mon', a timedelta or a number of seconds."
    if isinstance(due, str):
        try:
            due = crontab.from_string(" ".join(due.split()))
        except Exception as error:  # Celery's parser raises whatever it comes to
            if not isinstance(error, ValueError | ParseException):
                logger.warning("Celery cannot read the crontab %r", due, exc_info=error)
            raise Unusable(f"It is due at {due!r:.60}, which is no crontab: {error}", cure) from error
    if type(due) is crontab:
        return _short(Crontab(_fields(due), _zone(spec, app)))
    relative = spec.get("relative", False)
    if type(due) is schedule:
        plain: Any = due
        due, relative = plain.run_every, plain.relative or relative
    seconds = due.total_seconds() if isinstance(due, timedelta) else due
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise Unusable(f"It is due by {due!r:.60}.", cure)
    if not 1 <= seconds <= timedelta(days=36_525).total_seconds():
        raise Unusable(f"It is due every {seconds:g} seconds.", "Use one second to a hundred years.")
    _zone(spec, app)
    return Interval(float(seconds), bool(relative))


def _short(timing: Crontab) -> Crontab:
    if len(str(timing)) > LONGEST_TIMING:
        raise Unusable(f"It is due at {timing!s:.60}….", f"Use ranges and steps: {LONGEST_TIMING} characters at most.")
    return timing


def _fields(due: crontab) -> str:
    given: Any = due
    return " ".join(
        _field(value)
        for value in (
            given._orig_minute,
            given._orig_hour,
            given._orig_day_of_month,
            given._orig_month_of_year,
            given._orig_day_of_week,
        )
    )


def _field(value: Any) -> str:
    if isinstance(value, str | int):
        return "".join(str(value).lower().split())
    return ",".join(map(str, sorted(value)))


def _zone(spec: Mapping[str, Any], app: Celery) -> str:
    zone = spec.get("timezone") or app.conf.timezone or "UTC"
    name = str(getattr(zone, "key", zone))
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError) as error:
        raise Unusable(
            f"Its time zone is {name!r:.60}, which does not exist.", "Use one such as 'Europe/Berlin', or 'UTC'."
        ) from error
    return name


def _options(spec: Mapping[str, Any]) -> dict[str, Any]:
    given = spec.get("options") or {}
    if not isinstance(given, Mapping):
        raise Unusable(f"Its options are {given!r:.60}.", "Make them a dict, as for apply_async.")
    queue = given.get("queue")
    if queue and queue not in registry().pools:
        raise Unusable(
            f"It asks for the queue {queue!r}, which no domain declares.",
            f"Use one of {', '.join(registry().pools)}.",
            "routing.E003",
        )
    try:
        known_options.check(given)
        options = json.loads(json.dumps({key: _plain(value) for key, value in given.items()}, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise Unusable(f"Its options cannot be kept: {error}", "Correct options in the entry.") from error
    if not isinstance(options.get("headers") or {}, dict):
        raise Unusable("Its headers are no dict.", "Correct options in the entry.")
    return dict(options)


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.isoformat() if isinstance(value, datetime) else value


def _missed(spec: Mapping[str, Any]) -> str:
    missed = spec.get("missed", LATEST)
    if missed not in POLICIES:
        raise Unusable(
            f"What it missed is to be treated as {missed!r:.60}.",
            "Use 'latest' (run the last one), 'all' (run each), or 'skip' (run none).",
        )
    return str(missed)


def _deadline(spec: Mapping[str, Any]) -> float | None:
    deadline = spec.get("deadline")
    if deadline is None:
        return None
    seconds = deadline.total_seconds() if isinstance(deadline, timedelta) else deadline
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise Unusable(f"Its deadline is {deadline!r:.60}.", "Use a timedelta, or a number of seconds above 0.")
    return float(seconds)
