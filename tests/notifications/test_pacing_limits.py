"""Limits: so many in a second by all processes together, no more and no fewer, and urgent ones are not kept waiting."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import pairwise

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from pytest_django import DjangoAssertNumQueries, Settings

from notifications import checks, pacing
from notifications.pacing import bucket, circuit, gate_rows, limits, line
from notifications.pacing.limits import Limit
from notifications.pacing.tables import Gate, Line
from notifications.tables import Delivery, Notification
from project.environment import Environment
from routing.errors import NotYet
from tests.workers import ROOT, environment

HOST, OTHER = "one.example.org:25", "two.example.org:25"
FAST = Limit("email", 50, "s")
TRIES = 3
"""A machine that is busy with others is slow to wake who waits for a turn: too few may be its fault, too many never."""


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    circuit._known.clear()
    yield
    circuit._known.clear()


def delivery(lane: str = "bulk") -> Delivery:
    return Delivery(notification=Notification(lane=lane), channel="email")


def declare(settings: Settings, **rates: tuple[int, str]) -> None:
    settings.NOTIFICATIONS_LIMITS = rates


def put(gate: str, *, ahead: float) -> None:
    """Its next may pass so many seconds from now."""
    Gate.objects.update_or_create(name=gate, defaults={"next_at": gate_rows.now() + ahead})


def stood_still(asked: Iterable[float]) -> float:
    """Seconds in which no process came to ask: a machine that is busy with others keeps no rate."""
    return sum(max(0.0, later - earlier - limits.BURST / 2) for earlier, later in pairwise(asked))


def passed(
    *, processes: int, deliveries: int, seconds: float, rates: str, lane: str = "bulk"
) -> tuple[list[float], list[float]]:
    """When deliveries passed, and when any asked, with so many processes at it."""
    command = [sys.executable, "-m", "tests.notifications.passing", f"--lane={lane}"]
    command += [f"--deliveries={deliveries // processes}", f"--seconds={seconds}"]
    variables = environment() | {"NOTIFICATIONS_LIMITS": rates}
    running = [
        subprocess.Popen(
            command, cwd=ROOT, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(processes)
    ]
    found = []
    for one in running:
        assert one.stdin
        one.stdin.close()
        one.stdin = None
    for one in running:
        output, errors = one.communicate(timeout=seconds + 60)
        assert one.returncode == 0, errors.decode()
        found.append(json.loads(output))
    return sorted(at for one in found for at in one["passed"]), sorted(at for one in found for at in one["asked"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("processes", [1, 4])
def test_fifty_in_a_second_are_fifty_with_any_number_of_processes(processes: int) -> None:
    fewest = []
    for _ in range(TRIES):
        moments, asked = passed(processes=processes, deliveries=2000, seconds=12, rates="email=50/s")
        begun = moments[0]
        in_ten_seconds = sum(1 for at in moments if at < begun + 10)
        assert in_ten_seconds <= 525
        idle = stood_still(at for at in asked if begun <= at < begun + 10)
        if in_ten_seconds >= 475 - 50 * idle:
            return
        fewest.append(f"{in_ten_seconds} in ten seconds, {idle:.1f} of them without anybody who asked")
        Gate.objects.all().delete()
    pytest.fail(f"Fewer than 475, each time: {'; '.join(fewest)}")


@pytest.mark.django_db(transaction=True)
def test_the_slower_of_two_limits_is_kept_and_few_ask_more_than_twice() -> None:
    rates = "email=1000/s email:one.example.org:25=40/s"

    moments, asked = passed(processes=3, deliveries=240, seconds=60, rates=rates)

    assert len(moments) == 240
    assert 240 / 40 * 0.95 <= moments[-1] - moments[0] <= 240 / 40 * 1.05 + 0.2
    assert len(asked) <= 240 * 2.2


@pytest.mark.django_db
def test_the_first_of_an_idle_gate_passes_at_once_and_makes_its_row(settings: Settings) -> None:
    declare(settings, email=(1, "h"))

    pacing.pass_through(delivery(), host=HOST)

    with pytest.raises(NotYet, match=r"^The limit of email is 1/h\. Its turn is at .*\d\d:\d\d:\d\d\.$") as told:
        pacing.pass_through(delivery(), host=HOST)
    assert timedelta(minutes=59) < told.value.after <= timedelta(hours=1)


@pytest.mark.django_db
def test_a_token_of_one_limit_is_not_lost_where_another_is_closed(settings: Settings) -> None:
    settings.NOTIFICATIONS_LIMITS = {"email": (50, "s"), f"email:{HOST}": (1, "h")}
    pacing.pass_through(delivery(), host=HOST)
    before = Gate.objects.get(pk="email").next_at

    with pytest.raises(NotYet, match=r"The limit of email:one\.example\.org:25 is 1/h"):
        pacing.pass_through(delivery(), host=HOST)
    assert bucket.take(limits.of("email", HOST), lane="bulk") is None

    assert Gate.objects.get(pk="email").next_at == before
    pacing.pass_through(delivery(), host=OTHER)


@pytest.mark.django_db
def test_a_flood_of_bulk_leaves_something_for_who_is_in_haste(settings: Settings) -> None:
    declare(settings, email=(50, "s"))
    gate_rows.ensure(["email"])
    while bucket.take([FAST], lane="bulk") is not None:
        pass

    assert [bucket.take([FAST], lane="default") for _ in range(3)] == [0.0] * 3
    while bucket.take([FAST], lane="default") is not None:
        pass
    assert [bucket.take([FAST], lane="urgent") for _ in range(3)] == [0.0] * 3


@pytest.mark.django_db
@pytest.mark.parametrize(("ahead", "passes"), [(0.9, True), (1.5, False)])
def test_who_comes_after_a_late_one_of_a_slow_limit_is_in_time(ahead: float, passes: bool) -> None:
    put("email", ahead=ahead)

    assert (bucket.take([Limit("email", 1, "s")], lane="bulk") == 0.0) is passes


@pytest.mark.django_db
def test_urgent_does_not_stand_behind_a_line_of_bulk(settings: Settings) -> None:
    declare(settings, email=(10, "m"))
    pacing.pass_through(delivery(), host=HOST)
    for _ in range(40):
        with pytest.raises(NotYet, match="Its turn"):
            pacing.pass_through(delivery(), host=HOST)

    pacing.pass_through(delivery("urgent"), host=HOST)


@pytest.mark.django_db
def test_each_place_in_a_line_is_another_one() -> None:
    gate_rows.ensure(["email"])

    places = [line.join("email", lane="bulk", every=0.5, opens_in=3) for _ in range(20)]

    assert places[0] == pytest.approx(3, abs=0.4)
    gaps = [later - earlier for earlier, later in pairwise(places)]
    assert sum(gaps) == pytest.approx(19 * 0.5, abs=0.5)
    assert line.join("email", lane="urgent", every=0.5, opens_in=3) == pytest.approx(3, abs=0.4)


@pytest.mark.django_db
def test_nobody_is_told_to_come_back_later_than_the_horizon() -> None:
    gate_rows.ensure(["email"])
    line.join("email", lane="bulk", every=1, opens_in=0)
    Line.objects.update(end_at=gate_rows.now() + 86_400)

    places = [line.join("email", lane="bulk", every=1, opens_in=0) for _ in range(3)]

    assert places == pytest.approx([line.HORIZON] * 3, abs=1)


@pytest.mark.django_db
@pytest.mark.parametrize("ahead", [3600, 86_400], ids=["the limit was raised", "the clock was put back"])
def test_what_no_pace_explains_holds_nobody_up(settings: Settings, ahead: float) -> None:
    declare(settings, email=(50, "s"))
    put("email", ahead=ahead)

    pacing.pass_through(delivery(), host=HOST)

    assert Gate.objects.get(pk="email").next_at - gate_rows.now() < 1


@pytest.mark.django_db
def test_a_clock_put_forward_gives_no_more_than_after_a_rest() -> None:
    put("email", ahead=-86_400)
    hourly = Limit("email", 1, "h")

    assert bucket.take([hourly], lane="bulk") == 0.0

    assert bucket.take([hourly], lane="bulk") is None


@pytest.mark.django_db
def test_where_nothing_is_declared_a_pass_costs_no_statement(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    pacing.pass_through(delivery(), host=HOST)

    with django_assert_num_queries(0):
        for _ in range(50):
            pacing.pass_through(delivery(), host=HOST)
            pacing.record(delivery(), host=HOST)


@pytest.mark.django_db(transaction=True)
def test_a_database_that_went_away_is_waited_for(settings: Settings) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no connection to lose")
    declare(settings, email=(50, "s"))
    pacing.pass_through(delivery(), host=HOST)
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
    other.close()

    pacing.pass_through(delivery(), host=HOST)


def test_rates_are_read_by_name() -> None:
    text = "email=50/s email:SMTP.example.org:587=600/m"

    assert Environment({"L": text}).rates("L") == {"email": (50, "s"), "email:smtp.example.org:587": (600, "m")}
    assert Environment({}).rates("L") == {}


@pytest.mark.parametrize("text", ["email", "email=fast", "email=0/s", "email=5", "email=5/d", "=5/s", "email=1.5/s"])
def test_a_rate_that_is_none_is_refused_with_its_cure(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"is no rate\. Use names .* such as email=50/s"):
        Environment({"L": text}).rates("L")


def test_two_rates_for_one_name_are_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="it has email twice; leave one out"):
        Environment({"L": "email=5/s EMAIL=6/s"}).rates("L")


def test_a_limit_for_no_channel_keeps_the_project_from_starting(settings: Settings) -> None:
    settings.NOTIFICATIONS_LIMITS = {"fax": (5, "s"), "email:nobody.example.org:25": (5, "s"), "email": (5, "s")}
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "smtp.example.org", 587

    error, doubt = checks.check_limits()

    assert (error.id, error.is_serious()) == ("notifications.E006", True)
    assert "'fax' is no channel" in error.msg
    assert (doubt.id, doubt.is_serious()) == ("notifications.W004", False)
    assert "email:smtp.example.org:587" in str(doubt.hint)
