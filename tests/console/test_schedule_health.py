"""The schedule on the start page, in the probe and in ``manage.py status``: what is wrong, and what was."""

import json
import shlex
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from routing.console import lives
from routing.ledger.schedule_tables import ScheduleEntry
from routing.ledger.tables import Process
from routing.schedule import operating
from tests.console import schedule_specimens, specimens
from tests.console.conftest import Serve
from tests.console.schedule_specimens import ago
from tests.console.test_health import checks
from tests.console.test_start_page import words
from tests.console.test_status import document, status

pytestmark = [pytest.mark.broker, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def all_well(serve: Serve) -> None:
    serve()
    specimens.beat()
    specimens.relay()
    schedule_specimens.registered(schedule_specimens.BUILT_IN)


def test_a_schedule_that_is_kept_says_what_comes_next(viewer: Client) -> None:
    text = words(viewer)

    assert "All is well: 5 queues served, beat alive." in text
    assert "Next by schedule clean-up" in text
    assert {"schedule clean-up", "schedule weekly-report"} <= checks(viewer, 200).keys()
    assert status()[0] == 0


def test_a_missed_slot_is_seen_everywhere_and_takes_no_process_away(viewer: Client) -> None:
    schedule_specimens.missed("weekly-report", ago(hours=20))
    said = "weekly-report was not run when due"

    text = words(viewer)
    assert "5 queues served, beat alive, but the schedule was not kept in all." in text
    assert said in text
    assert "past its deadline. To make up for it: manage.py schedule run weekly-report" in text
    check = checks(viewer, 200)["schedule weekly-report"]
    assert (check["ok"], check["error"]) == (True, None)
    assert said in check["look"]
    code, output = status()
    assert (code, said in output, "All is well" in output) == (0, True, False)
    assert said in document()[1]["look"][0]


def test_a_late_slot_is_seen_everywhere(viewer: Client) -> None:
    schedule_specimens.fired("clean-up", ago(hours=3), late=timedelta(seconds=61))

    assert "clean-up was fired 1 min 1 s late" in words(viewer)
    assert "1 min 1 s late" in checks(viewer, 200)["schedule clean-up"]["look"]
    assert "clean-up was fired 1 min 1 s late" in status()[1]


def test_one_that_a_living_beat_does_not_come_to_is_wrong(viewer: Client) -> None:
    schedule_specimens.overdue("clean-up", days=2)

    assert "and no beat has come to it" in words(viewer)
    assert "no beat has come to it" in checks(viewer, 503)["schedule clean-up"]["error"]
    assert status()[0] == 1


def test_due_for_less_than_a_minute_is_not_late(viewer: Client) -> None:
    schedule_specimens.registered({"sweep": {"task": "maintenance.cleanup", "schedule": 3600.0}})
    schedule_specimens.overdue("sweep", hours=1, seconds=50)

    assert checks(viewer, 200)["schedule sweep"]["ok"]


def test_without_a_beat_that_is_the_cause_and_the_entry_is_told_beside_it(viewer: Client) -> None:
    Process.objects.filter(role="beat").delete()
    schedule_specimens.overdue("clean-up", days=2)

    text = words(viewer)

    assert "2 things need you. No beat runs, so nothing runs by schedule." in text
    assert "clean-up was due" in text
    found = checks(viewer, 503)
    assert not found["beat"]["ok"]
    assert "no beat has come to it" in found["schedule clean-up"]["look"]


def test_a_paused_entry_is_paused_and_nothing_is_wrong(viewer: Client) -> None:
    operating.pause("clean-up", by="ann", reason="The disk is full.")
    schedule_specimens.overdue("clean-up", days=2)
    said = "by ann: The disk is full. To go on: manage.py schedule resume clean-up"

    text = words(viewer)
    assert "5 queues served, beat alive, and 1 entry of the schedule is paused." in text
    assert said in text
    check = checks(viewer, 200)["schedule clean-up"]
    assert (check["ok"], said in check["paused"]) == (True, True)
    code, output = status()
    assert (code, said in output) == (0, True)


def test_a_broken_entry_is_told_with_its_cure_but_not_to_a_probe(viewer: Client) -> None:
    schedule_specimens.registered({"clean-up": {"task": "maintenance.cleanup", "schedule": 60, "args": [{"hush"}]}})

    assert "clean-up is broken, so it never runs." in words(viewer)
    assert "cannot be written as JSON" in words(viewer)
    check = checks(viewer, 200)["schedule clean-up"]
    assert check["look"] == "clean-up is broken, so it never runs. What is wrong with it: manage.py schedule list"


def test_a_name_is_quoted_where_a_shell_reads_it() -> None:
    name = "it's due; $HOME"
    schedule_specimens.registered({name: {"task": "maintenance.cleanup", "schedule": 60.0}})
    schedule_specimens.missed(name, ago(hours=1))

    sentence = json.loads(json.dumps(document()[1]["look"][0]))

    assert shlex.split(sentence.partition("manage.py ")[2]) == ["schedule", "run", name]


def test_a_definition_that_only_a_newer_release_reads_spoils_no_page(viewer: Client) -> None:
    ScheduleEntry.objects.filter(pk="clean-up").update(
        definition='{"due": {"sunrise": "Oslo"}, "task": "maintenance.cleanup"}'
    )

    assert "clean-up comes from a newer release" in words(viewer)
    assert checks(viewer, 200)["schedule weekly-report"]["ok"]


def test_many_entries_cost_no_more_questions_than_one() -> None:
    asked = [_questions(entries) for entries in (1, 40)]

    assert asked[0] == asked[1]


def _questions(entries: int) -> int:
    names = [f"entry-{number}" for number in range(entries)]
    schedule_specimens.registered({name: {"task": "maintenance.cleanup", "schedule": 60.0} for name in names})
    for name in names:
        schedule_specimens.missed(name, ago(minutes=10 + entries))
    lives.look()
    with CaptureQueriesContext(connection) as queries:
        assert len(lives.look().schedule.needs) == entries
    return len(queries)
