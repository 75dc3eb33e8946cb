"""Send a run to those whose hour has come: the row and the mail's task of each are one transaction.

What may happen in between, and what then:

* It dies before a batch commits: neither row nor task is there, and the next one sends that batch.
* It dies after: the ledger keeps the tasks, whatever dies, and the rows tell the next one to pass over these people.
* Two at once: the second skips the subscriptions that the first has locked. Where it looked just before the first
  committed, its rows meet the unique (run, address), are left out, and no task is enqueued for them.
* The mail's task runs twice: its key is the recipient's own, and under it one message is sent.
* A process of the release before died between a person's row and their mail: the row is gone on with, and its mail has
  the same task id, so that the old process, should it live, enqueues nothing beside it.
* Somebody unsubscribes meanwhile: their subscription is locked from the look at it to the commit, so that they have
  ended it either before, and get nothing, or after their mail was on its way.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import reduce
from itertools import product, starmap
from operator import or_
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Lower
from django.utils import timezone

from reporting import links
from reporting.runs import letters
from reporting.runs.letters import Letter
from reporting.runs.tables import Choice, ReportDelivery, ReportEdition, ReportRun
from reporting.subscribing import choosing
from reporting.subscribing.slots import Slot
from reporting.subscribing.tables import Subscription
from routing import faults

BATCH = 100
"""People in one transaction."""
SLOTS = 40
"""In one question to the database."""
QUIET = "nothing to tell"

_BEGUN = Q(enqueued_at=None, withheld="")
"""The release before wrote a row first, and the mail's task in another transaction."""

Due = tuple[datetime, Slot]


def waiting(run: ReportRun | None, due: Sequence[Due], *, report: str) -> "Iterator[QuerySet[Subscription]]":
    """Subscriptions of these slots that have no row in the run yet, a few slots at a time."""
    for start in range(0, len(due), SLOTS):
        theirs = reduce(or_, (_of_slot(*one) for one in due[start : start + SLOTS]))
        yield without_row(run, choosing.active().filter(theirs, report=report))


def without_row(run: ReportRun | None, subscriptions: "QuerySet[Subscription]") -> "QuerySet[Subscription]":
    if run is None:
        return subscriptions
    rows = ReportDelivery.objects.filter(run=run).exclude(_BEGUN).annotate(lowered=Lower("address"))
    return subscriptions.filter(~Exists(rows.filter(lowered=Lower(OuterRef("email")))))


def editions_wanted(run: ReportRun | None, due: Sequence[Due], *, report: str) -> set[Choice]:
    """The choices of those who wait."""
    return {choice for some in waiting(run, due, report=report) for choice in choices_of(some)}


def choices_of(subscriptions: "QuerySet[Subscription]") -> Iterator[Choice]:
    return starmap(Choice, subscriptions.order_by().values_list("domains", "language").distinct())


def send(run: ReportRun, due: Sequence[Due]) -> int:
    """To those of these slots who have not had it; how many. Safe to call again, and two at once."""
    times = {slot: moment for moment, slot in due}
    return sum(_send_all(run, some, times=times) for some in waiting(run, due, report=run.report))


def send_to_all(run: ReportRun) -> int:
    """To everybody who is subscribed and has not had it, whatever their hour. Safe to call again, and two at once."""
    return _send_all(run, without_row(run, choosing.active().filter(report=run.report)), times={})


def send_again(run: ReportRun, *, number: int, addresses: Sequence[str] = ()) -> int:
    """Once more, for the ``number``-th time, to those who had it, or to these of them; how many.

    Each time has a key of its own. Safe to call again, and two at once.
    """
    had_it = run.deliveries.exclude(enqueued_at=None).exclude(edition=None).filter(times_sent__lt=number)
    if addresses:
        had_it = had_it.filter(address__in=addresses)
    desk, sent, reached = _Desk(run), 0, 0
    editions = had_it.order_by().values_list("edition__domains", "edition__language").distinct()
    desk.prepare(product(starmap(Choice, editions), _chosen_files(run, addresses)))
    while True:
        with transaction.atomic():
            rows = list(had_it.filter(pk__gt=reached).order_by("pk").select_for_update(of=("self",))[:BATCH])
            if not rows:
                return sent
            reached = rows[-1].pk
            mails = dict(filter(None, (_again(run, row, number, desk=desk) for row in rows)))
            letters.send(mails)
            sent += len(mails)


def _chosen_files(run: ReportRun, addresses: Sequence[str]) -> Iterable[str]:
    subscriptions = Subscription.objects.filter(report=run.report)
    if addresses:
        subscriptions = subscriptions.filter(email__in=addresses)
    return subscriptions.order_by().values_list("attached", flat=True).distinct()


def _of_slot(moment: datetime, slot: Slot) -> Q:
    return Q(time_zone=slot.time_zone, weekday=slot.weekday, hour=slot.hour, counts_from__lte=moment)


def _send_all(run: ReportRun, chosen: "QuerySet[Subscription]", *, times: Mapping[Slot, datetime]) -> int:
    """In batches by the key, each a transaction, so that ten thousand take no more memory than a hundred."""
    desk, sent, reached = _Desk(run), 0, 0
    chosen = chosen.filter(reduce(or_, (Q(**choice._asdict()) for choice in desk.editions), Q(pk__in=())))
    asked = chosen.order_by().values_list("domains", "language", "attached").distinct()
    desk.prepare((Choice(domains, language), attached) for domains, language, attached in asked)
    while True:
        with transaction.atomic():
            people = list(
                chosen.filter(pk__gt=reached).order_by("pk").select_for_update(skip_locked=True, of=("self",))[:BATCH]
            )
            if not people:
                return sent
            reached = people[-1].pk
            sent += _hand_over(run, people, desk=desk, times=times)
            faults.point("report.handed_over")
        faults.point("report.committed")


class _Desk:
    """The run's editions, and a letter for each choice of files: rendered when somebody is to get it."""

    def __init__(self, run: ReportRun) -> None:
        self.editions = {edition.choice: edition for edition in run.editions.all()}
        self._letters: dict[tuple[Choice, str], Letter] = {}

    def prepare(self, choices: Iterable[tuple[Choice, str]]) -> None:
        """Before a transaction begins, which would wait for the files that are drawn."""
        for choice, attached in choices:
            if self.editions[choice].worth_sending:
                self.letter(choice, attached)

    def letter(self, choice: Choice, attached: str) -> Letter:
        if (choice, attached) not in self._letters:
            self._letters[choice, attached] = letters.of_edition(self.editions[choice], attached=attached)
        return self._letters[choice, attached]

    def by_key(self, edition: int | None, attached: str) -> Letter:
        return self.letter(next(choice for choice, row in self.editions.items() if row.pk == edition), attached)


def _hand_over(run: ReportRun, people: Sequence[Subscription], *, desk: _Desk, times: Mapping[Slot, datetime]) -> int:
    rows = [_row(run, one, desk.editions[_choice(one)], times) for one in people]
    ReportDelivery.objects.bulk_create(rows, ignore_conflicts=True)
    # By the random id of each it shows which of them are ours.
    won = set(
        ReportDelivery.objects.filter(task_id__in=[row.task_id for row in rows]).values_list("task_id", flat=True)
    )
    mails = {
        str(row.task_id): desk.letter(_choice(one), one.attached).kwargs(
            row.address, key=row.key, manage_url=links.subscriptions_url(one.pk)
        )
        for one, row in zip(people, rows, strict=True)
        if (row.task_id in won or _goes_on(row)) and not row.withheld
    }
    letters.send(mails)
    return len(mails)


def _choice(one: Subscription) -> Choice:
    return Choice(one.domains, one.language)


def _goes_on(row: ReportDelivery) -> bool:
    """Make this the row of somebody whose own was only begun. False if they have had it."""
    begun = ReportDelivery.objects.filter(_BEGUN, run=row.run_id, address__iexact=row.address)
    task_id = begun.select_for_update().values_list("task_id", flat=True).first()
    if task_id is None:
        return False
    values = {name: getattr(row, name) for name in ("edition", "key", "due_at", "enqueued_at", "withheld")}
    row.task_id = task_id
    return begun.update(**values) == 1


def _row(run: ReportRun, one: Subscription, edition: ReportEdition, times: Mapping[Slot, datetime]) -> ReportDelivery:
    now = timezone.now()
    worth = edition.worth_sending
    return ReportDelivery(
        run=run,
        edition=edition,
        address=one.email,
        key=letters.key(run.report, run.period, one.email) if worth else "",
        due_at=times.get(Slot(one.time_zone, one.weekday, one.hour), now),
        enqueued_at=now if worth else None,
        withheld="" if worth else QUIET,
    )


def _again(run: ReportRun, row: ReportDelivery, number: int, *, desk: _Desk) -> tuple[str, dict[str, Any]] | None:
    """None if another one was first: whoever looked before the lock was free may see the row as it was."""
    fresh, task_id = ReportDelivery.objects.filter(pk=row.pk, times_sent__lt=number), uuid4()
    key = f"{letters.key(run.report, run.period, row.address)}:{number}"
    if not fresh.update(times_sent=number, task_id=task_id, key=key, enqueued_at=timezone.now()):
        return None
    owner = Subscription.objects.filter(email__iexact=row.address, report=run.report).first()
    manage_url = links.subscriptions_url(owner.pk) if owner else ""
    letter = desk.by_key(row.edition_id, owner.attached if owner else "")
    return str(task_id), letter.kwargs(row.address, key=key, manage_url=manage_url)
