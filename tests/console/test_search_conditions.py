"""What a search finds in the tables is what a filter in Python finds among the same rows, on either database."""

import json
import random
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from celery import states
from django.utils import timezone
from django_celery_results.models import TaskResult

from routing.console.searching import counts, finished, in_flight
from routing.console.searching.counts import Count
from routing.console.searching.parser import parse
from routing.console.searching.terms import (
    NO_DOMAIN,
    Argument,
    Contains,
    CountedIn,
    DomainIn,
    FinishedIn,
    Lasted,
    QueueIn,
    Since,
    StateIn,
    TaskIn,
    TaskIs,
    Term,
    Until,
)
from routing.console.searching.words import vocabulary
from routing.domains import registry
from routing.ledger.results import task_names
from routing.ledger.tables import Message, Process
from tests import stored_results
from tests.console import specimens

pytestmark = pytest.mark.django_db

NOW = timezone.now().replace(microsecond=250_000)
SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}
VALUES: list[Any] = [42, 4, "42", "zoë", 'say "hi"', True, None, 1.5, {"user_id": 42}, [{"to": "42"}], "50%_off"]
WORDS = (
    *("state:failure", "state:success", "state:revoked,retry", "state:running", "state:FAILURE,SUCCESS"),
    *("task:reporting.*", "task:*.send_email", "task:reporting.weekly,billing.charge", "task:*", "task:nothing"),
    *("domain:notifications", "domain:reporting", "domain:-", "domain:maintenance,-", "queue:reporting"),
    *("worker:app-1", "worker:REPORTING", "since:2h", "until:90m", "since:3h", "waited:>5s", "waited:<=2s"),
    *("ran:>1s", "ran:<1s", "args.user_id:42", "args.to:zoë", 'args.to:"say \\"hi\\""', "args.user_id:true"),
    *("args.user_id:4", "args.to:50%_off", "error:TIMEOUT", "error:55", "zoë", "42", '"user_id"', "50%"),
)
LISTS = sorted({word.partition(":")[0] for word in WORDS if ":" in word})


def a_line(chance: random.Random) -> str:
    """One to three words, of one name at most one."""
    chosen: dict[str, str] = {}
    for word in chance.sample(WORDS, chance.randint(1, 3)):
        chosen.setdefault(word.partition(":")[0], word)
    return " ".join(chosen.values())


def terms(line: str) -> tuple[Term, ...]:
    search = parse(line, known=vocabulary(), now=NOW)
    assert search.mistakes == ()
    return search.terms


def some_results(chance: random.Random, count: int = 60) -> None:
    for _ in range(count):
        name = chance.choice(
            ["notifications.send_email", "reporting.weekly", "billing.charge", "celery.chord_unlock", None]
        )
        failed = chance.random() < 0.4
        specimens.result(
            name,  # type: ignore[arg-type]
            status=chance.choice([states.FAILURE, states.RETRY, states.REVOKED]) if failed else chance.choice(
                [states.SUCCESS, states.SUCCESS, states.STARTED, states.PENDING]
            ),
            queue=chance.choice(["notifications", "reporting", "billing"]),
            enqueued=NOW - timedelta(minutes=chance.randint(1, 240), microseconds=chance.randint(0, 10**6)),
            waited=timedelta(seconds=chance.choice([0.5, 2, 5, 7])) if chance.random() < 0.9 else None,
            ran=timedelta(seconds=chance.choice([0.2, 1, 3])),
            kwargs=_arguments(chance),
            task_args=json.dumps([chance.choice(VALUES)]),
            outcome={"exc_type": chance.choice(["TimeoutError", "KeyError"]), "exc_message": ["550"]} if failed else 1,
            traceback="… timeOut …" if failed and chance.random() < 0.3 else None,
        )  # fmt: skip


def some_in_flight(chance: random.Random, count: int = 40) -> None:
    owners = [specimens.worker(name) for name in ("reporting@app-1", "notifications@app-2")]
    for _ in range(count):
        runs = chance.random() < 0.4
        enqueued = NOW - timedelta(minutes=chance.randint(1, 240), microseconds=chance.randint(0, 10**6))
        stored_results.in_flight(
            chance.choice(["notifications.send_email", "reporting.weekly", "billing.charge"]),
            created_at=enqueued,
            queue=chance.choice(["notifications", "reporting", "billing"]),
            state=states.STARTED if runs else chance.choice([states.PENDING, states.RETRY]),
            owner=chance.choice(owners).pk if runs else None,
            started_at=enqueued + timedelta(seconds=chance.choice([0.5, 2, 5, 7])) if runs else None,
            error=chance.choice([None, "TimeoutError: 550", "KeyError"]),
            args=[chance.choice(VALUES)],
            kwargs=_arguments(chance),
        )


def _arguments(chance: random.Random) -> dict[str, Any]:
    return {name: chance.choice(VALUES) for name in chance.sample(["user_id", "to", "other"], 2)}


def test_what_is_found_among_results_is_what_python_finds() -> None:
    chance = random.Random(7)  # noqa: S311
    some_results(chance)
    rows = list(TaskResult.objects.all())
    sizes = set()

    for _ in range(120):
        line = a_line(chance)
        asked = finished.question(terms(line), names=task_names)
        wanted = {row.pk for row in rows if all(_fits_result(row, term) for term in terms(line))}
        found = set(TaskResult.objects.filter(asked.whole).values_list("pk", flat=True))
        assert found == wanted, line
        # The branches are what the list reads: together the same rows, and none of them twice.
        read = [pk for each in asked.branches
                for pk in TaskResult.objects.filter(each & asked.slow).values_list("pk", flat=True)]  # fmt: skip
        assert sorted(read) == sorted(wanted), line
        sizes.add(len(wanted))
    assert len(sizes) > 15


def test_what_counts_for_a_domain_is_what_its_books_say_and_else_what_it_claims() -> None:
    """A task that has moved since counts where it was accepted; what other releases stored, by its name."""
    kept = {name: specimens.result("reporting.weekly") for name in ("moved", "none", "own", "unsaid", "bare")}
    metas = {
        "moved": {"domain": "notifications", "queue": "notifications"},
        "none": {"domain": ""},
        "own": {"domain": "reporting"},
        "unsaid": {"queue": "reporting"},
        "bare": None,
    }
    for name, meta in metas.items():
        TaskResult.objects.filter(pk=kept[name].pk).update(meta=None if meta is None else json.dumps(meta))
    names = {row.pk: name for name, row in kept.items()}

    def counted(domain: str) -> set[str]:
        asked = finished.question([CountedIn("", (domain,))], names=task_names)
        return {names[pk] for pk in TaskResult.objects.filter(asked.whole).values_list("pk", flat=True)}

    assert counted("notifications") == {"moved"}
    assert counted("reporting") == {"own", "unsaid", "bare"}
    assert counted(NO_DOMAIN) == {"none"}
    assert counted("maintenance") == set()


def test_a_stretch_of_time_holds_what_finished_in_it_and_is_counted_to_the_unit() -> None:
    chance = random.Random(9)  # noqa: S311
    some_results(chance)
    begin, end = NOW - timedelta(hours=3), NOW - timedelta(hours=1)

    asked = finished.question([FinishedIn("", begin, end), CountedIn("", ("reporting",))], names=task_names)

    found = set(TaskResult.objects.filter(asked.whole).values_list("pk", flat=True))
    wanted = finished.question([CountedIn("", ("reporting",))], names=task_names).whole
    assert found == {row.pk for row in TaskResult.objects.filter(wanted) if begin <= row.date_done < end} != set()
    assert counts.count(TaskResult.objects.all(), asked) == Count(len(found))


def test_what_is_found_in_flight_is_what_python_finds() -> None:
    chance = random.Random(8)  # noqa: S311
    some_in_flight(chance)
    rows = list(Message.objects.all())
    workers = {each.pk: each.name for each in Process.objects.all()}
    sizes = set()

    for _ in range(120):
        line = a_line(chance)
        wanted = {row.pk for row in rows if all(_fits_message(row, term, workers) for term in terms(line))}
        found = set(Message.objects.filter(in_flight.whole(terms(line), now=NOW)).values_list("pk", flat=True))
        assert found == wanted, line
        sizes.add(len(wanted))
    assert len(sizes) > 10


def test_an_id_is_found_in_both() -> None:
    done, waits = specimens.result(), specimens.in_flight()

    (result,) = TaskResult.objects.filter(finished.question(terms(f"id:{done.task_id}"), names=task_names).whole)
    (message,) = Message.objects.filter(in_flight.whole(terms(waits.pk.upper()), now=NOW))

    assert (result.pk, message.pk) == (done.pk, waits.pk)


@pytest.mark.parametrize(
    ("line", "unserved"),
    [
        ("state:failure task:reporting.* domain:reporting since:2d until:1h", []),
        ("state:success", []),
        ("worker:app-1 since:2d", ["worker:app-1"]),
        ("error:timeout waited:>5s", ["error:timeout", "waited:>5s"]),
        ('args.user_id:42 queue:reporting "some text"', ["args.user_id:42", "queue:reporting", '"some text"']),
    ],
)
def test_each_term_knows_whether_an_index_serves_it(line: str, unserved: list[str]) -> None:
    asked = finished.question(terms(line), names=task_names)

    assert [each.word for each in asked.unserved] == unserved


def test_many_tasks_are_read_as_one_branch() -> None:
    for number in range(finished.MOST_BRANCHES + 1):
        specimens.result(f"shop.task{number}")

    (one,) = finished.question(terms("task:shop.*"), names=task_names).branches

    assert TaskResult.objects.filter(one).count() == finished.MOST_BRANCHES + 1


def _fits_result(row: TaskResult, term: Term) -> bool:
    ended = row.status in ("SUCCESS", "FAILURE", "REVOKED", "IGNORED")
    match term:
        case Lasted(_, "ran", sign, length):
            return ended and row.date_started is not None and SIGNS[sign](row.date_done - row.date_started, length)
        case Lasted(_, _, sign, length):
            return row.date_started is not None and SIGNS[sign](row.date_started - row.date_created, length)
        case Contains(_, "error", text):
            said = f"{row.traceback or ''}\n{row.result}"
            return row.status in ("FAILURE", "RETRY", "REVOKED") and text.lower() in said.lower()
        case Contains(_, "worker", text):
            return text.lower() in (row.worker or "").lower()
        case Contains(_, _, text):
            return any(json.dumps(text)[1:-1] in column for column in (row.task_args, row.task_kwargs))
        case Argument(_, key, value):
            return _has(json.loads(row.task_kwargs), key, value)
    queue = json.loads(row.meta)["queue"]
    return _fits(term, row.task_name or "", queue, _domain(row.task_name, queue), row.status, row.date_created)


def _fits_message(row: Message, term: Term, workers: dict[int, str]) -> bool:
    match term:
        case Lasted(_, "ran", sign, length):
            return row.owner is not None and SIGNS[sign](NOW - (row.started_at or NOW), length)
        case Lasted(_, _, sign, length):
            begun = row.started_at if row.owner else None
            return SIGNS[sign]((begun or NOW) - row.created_at, length)
        case Contains(_, "error", text):
            return text.lower() in (row.error or "").lower()
        case Contains(_, "worker", text):
            return row.owner is not None and text.lower() in workers[row.owner].lower()
        case Contains(_, _, text):
            return json.dumps(text)[1:-1] in row.body
        case Argument(_, key, value):
            return _has(json.loads(row.body), key, value)
    return _fits(term, row.task, row.queue, row.domain or "-", row.state, row.created_at)


def _fits(term: Term, task: str, queue: str, domain: str, state: str, created_at: datetime) -> bool:
    match term:
        case TaskIs():
            return False
        case StateIn(_, wanted):
            return state in wanted
        case TaskIn(_, patterns):
            # A result without a name has none that a pattern could fit.
            return bool(task) and any(
                re.fullmatch(".*".join(map(re.escape, each.split("*"))), task) for each in patterns
            )
        case DomainIn(_, domains):
            return domain in domains
        case QueueIn(_, queues):
            return queue in queues
        case Since(_, at):
            return created_at >= at
        case Until(_, at):
            return created_at < at
    raise AssertionError(term)


def _domain(task: str | None, queue: str) -> str:
    """Celery's built-ins belong to the queue they went to."""
    domain = registry().of_task(task or "")
    if domain is None and (task or "").startswith("celery."):
        domain = registry().of_queue(queue)
    return domain.name if domain else "-"


def _has(value: Any, key: str, wanted: str) -> bool:
    """A key anywhere, whose value is this string, or is written so."""
    if isinstance(value, dict):
        fits = key in value and wanted in (value[key], json.dumps(value[key]))
        return fits or any(_has(each, key, wanted) for each in value.values())
    return isinstance(value, list) and any(_has(each, key, wanted) for each in value)
