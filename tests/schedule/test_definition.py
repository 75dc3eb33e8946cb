"""An entry of the setting is read, or refused with the cure; read back from the database, it is the same."""

from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from celery.beat import BeatLazyFunc
from celery.schedules import crontab, schedule
from django.utils.module_loading import autodiscover_modules

from routing.schedule.definition import Definition, Unknown, Unusable, from_text, read, read_all

pytestmark = pytest.mark.any_database
autodiscover_modules("tasks")


def parse(**entry: Any) -> Definition:
    return read("entry", {"task": "maintenance.cleanup", "schedule": 60, **entry}, current_app)


@pytest.mark.parametrize(
    ("given", "timing"),
    [
        (crontab(hour=9, minute=0, day_of_week="Monday"), "0 9 * * monday, UTC"),
        (crontab(minute="*/5", day_of_month=[1, 15]), "*/5 * 1,15 * *, UTC"),
        ("0 9 * * mon", "0 9 * * mon, UTC"),
        (timedelta(hours=1), "every 3600 s"),
        (schedule(timedelta(hours=1)), "every 3600 s"),
        (schedule(60, relative=True), "every 60 s by the clock"),
        (1.5, "every 1.5 s"),
    ],
)
def test_each_form_of_a_schedule_is_read(given: Any, timing: str) -> None:
    assert str(parse(schedule=given).timing) == timing


def test_all_of_an_entry_comes_back_from_the_database() -> None:
    given = parse(
        schedule="0 9 * * mon",
        timezone="Europe/Berlin",
        options={"queue": "reporting", "expires": timedelta(hours=1), "headers": {"mine": "ä"}},
        missed="all",
        deadline=timedelta(hours=12),
    )

    assert from_text(given.as_text()) == given
    assert from_text(given.as_text()).fingerprint == given.fingerprint
    assert given.options["expires"] == 3600


def test_what_a_later_release_wrote_is_not_guessed_at() -> None:
    for text in ("", "[]", "{}", '{"due": {"crontab": "0 9 * * *", "timezone": "Mars/Olympus"}}'):
        with pytest.raises(Unknown):
            from_text(text)


@pytest.mark.parametrize(
    ("entry", "wrong", "cure"),
    [
        ({"task": "maintenance.clenup"}, "does not exist", "Did you mean 'maintenance.cleanup'?"),
        ({"task": 7}, "does not exist", "Correct its name"),
        ({"schedule": "61 * * * *"}, "no crontab", "five fields"),
        ({"schedule": "0 9 * *"}, "no crontab", "five fields"),
        ({"schedule": "0 0 30 2 *"}, "no crontab", "five fields"),
        ({"schedule": 0}, "every 0 seconds", "One second"),
        ({"schedule": timedelta(-1)}, "seconds", "second"),
        ({"schedule": object()}, "due by", "crontab"),
        ({"schedule": None}, "no 'schedule'", "Add it"),
        ({"timezone": "Europe/Berln"}, "time zone", "Europe/Berlin"),
        ({"timezone": "../etc/passwd"}, "time zone", "Europe/Berlin"),
        ({"missed": "never"}, "'never'", "'latest'"),
        ({"deadline": -1}, "deadline", "timedelta"),
        ({"deadline": "1h"}, "deadline", "timedelta"),
        ({"args": [object()]}, "JSON", "plain values"),
        ({"args": [BeatLazyFunc(int)]}, "JSON", "in the task"),
        ({"args": [float("nan")]}, "JSON", "plain values"),
        ({"args": ["too many"]}, "does not take its arguments", "Correct args"),
        ({"args": "abc"}, "arguments", "list"),
        ({"options": {"queue": "nowhere"}}, "'nowhere'", "Use one of"),
        ({"options": {"exchange": "mine"}}, "use queue=", "Correct options"),
        ({"options": {"headers": object()}}, "options", "Correct"),
        ({"polcy": "all"}, "'polcy'", "Use task"),
        ({"timezon": "UTC"}, "'timezon'", "Did you mean 'timezone'?"),
    ],
)
def test_what_cannot_be_gone_by_is_refused_with_the_cure(entry: dict[str, Any], wrong: str, cure: str) -> None:
    with pytest.raises(Unusable) as refusal:
        parse(**entry)

    assert wrong in refusal.value.wrong
    assert cure.lower() in refusal.value.cure.lower()


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", 7])
def test_a_name_that_cannot_be_kept_is_refused(name: object) -> None:
    with pytest.raises(Unusable, match="name"):
        read(name, {"task": "maintenance.cleanup", "schedule": 60}, current_app)


def test_what_nobody_foresaw_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    class Hostile(str):
        def split(self, *_: Any, **__: Any) -> list[str]:
            raise RuntimeError("never seen before")

    with pytest.raises(Unusable, match="no crontab"):
        parse(schedule=Hostile("0 9 * * *"))
    assert "never seen before" in caplog.text
    assert "in split" in caplog.text

    caplog.clear()
    with pytest.raises(Unusable, match="no crontab"):
        parse(schedule="61 * * * *")
    assert caplog.text == ""


def test_one_broken_entry_leaves_the_others_readable(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Hostile(dict[str, Any]):
        def get(self, *_: Any) -> Any:
            raise RuntimeError("no")

    good = {"task": "maintenance.cleanup", "schedule": 60}
    monkeypatch.setitem(current_app.conf, "beat_schedule", {"bad": "text", "worse": Hostile(good), "good": good})

    found = dict(read_all(current_app))

    assert isinstance(found["bad"], Unusable)
    assert isinstance(found["worse"], Unusable)
    assert isinstance(found["good"], Definition)
    assert 'raise RuntimeError("no")' in caplog.text
