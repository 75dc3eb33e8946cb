"""One dead letter as a page to read: what it is, why it is there, and what can be done about it."""

import json
from collections.abc import Iterator
from typing import Any

from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django_celery_results.models import TaskResult

from routing.console import page_parts
from routing.console.cause_rows import cause_url
from routing.console.number_words import grouped
from routing.console.page_parts import Failure, Relative, Step, TaskPage, Value
from routing.console.result_rows import StateWord
from routing.ledger.renewal import REPLAY_HEADER, NotATask, renew
from routing.ledger.tables import DeadLetter
from routing.readable import readable

State, Reason = DeadLetter.State, DeadLetter.Reason
TONES = {State.OPEN: "danger", State.REPLAYED: "success", State.DISCARDED: ""}


def dead_letter_page(letter: DeadLetter) -> TaskPage:
    """Asks the database for the task's result and for what it was replayed as."""
    return TaskPage(
        state=state_of(letter),
        headline=_headline(letter),
        steps=list(_steps(letter)),
        pending=None,
        failure=_failure(letter),
        values=list(_values(letter)),
        facts=[(name, value) for name, value in _facts(letter) if value],
        relatives=list(_relatives(letter)),
        nothing=_("It has no body."),
    )


def state_of(letter: DeadLetter) -> StateWord:
    return StateWord(letter.state, letter.get_state_display(), TONES[State(letter.state)])


def can_run(letter: DeadLetter) -> bool:
    """Whether there is a task in it that a worker could run."""
    try:
        renew(letter)
    except NotATask:
        return False
    return True


def _headline(letter: DeadLetter) -> str:
    if letter.state == State.REPLAYED:
        return _("%(who)s had it enqueued anew.") % {"who": letter.decided_by}
    if letter.state == State.DISCARDED:
        return _("%(who)s discarded it. It stays until the clean-up removes it.") % {"who": letter.decided_by}
    if not can_run(letter):
        return _(
            "There is no task in it that a worker could run, so it cannot be replayed. Keep its bytes with "
            "manage.py dead_letters show %(id)s --body, send what was meant, and discard it."
        ) % {"id": letter.pk}
    return _("It waits for somebody to replay or to discard it.")


def _steps(letter: DeadLetter) -> Iterator[Step]:
    if letter.enqueued_at:
        yield Step(_("Enqueued"), letter.enqueued_at)
    for event in json.loads(letter.history):
        if event.get("event") == "dead-lettered" and (at := parse_datetime(event.get("at") or "")):
            yield Step(_("Given up in %(queue)s") % {"queue": event.get("queue")}, at)
    yield Step(_("Set aside"), letter.dead_at)
    if letter.decided_at:
        yield Step(letter.get_state_display().capitalize(), letter.decided_at)


def _failure(letter: DeadLetter) -> Failure | None:
    if not letter.error:
        return None
    kind, colon, message = letter.error.partition(": ")
    if letter.source or not colon or not kind.isidentifier():
        return Failure(str(letter.get_reason_display()), letter.error)
    return Failure(kind, message)


def _values(letter: DeadLetter) -> Iterator[Value]:
    if letter.traceback:
        yield page_parts.text(_("Traceback"), letter.traceback, folds=False)
    content = letter.content
    if content:
        text = readable(content)
        shown = page_parts.pretty(text) if text[:1] in "[{" else text
        yield page_parts.text(_("Body"), shown, payload=True)
    yield from page_parts.value(_("Headers"), letter.headers, empty={}, folds=True)
    yield from page_parts.value(_("Properties"), letter.properties, empty={}, folds=True)
    yield from page_parts.value(_("History"), letter.history, empty=[], folds=True, payload=False)


def _facts(letter: DeadLetter) -> Iterator[tuple[str, str]]:
    yield _("Number"), str(letter.pk)
    yield _("Task id"), letter.task_id
    yield _("Reason"), str(letter.get_reason_display())
    yield _("Domain"), letter.domain
    yield _("Queue"), letter.queue
    yield _("Taken from"), letter.source
    yield _("Bytes"), grouped(len(letter.content))
    if not letter.source:
        yield _("Attempt"), str(letter.attempt)
        yield _("Starts in this attempt"), str(letter.runs or "")
    yield _("Decided by"), letter.decided_by
    yield _("Fingerprint"), letter.fingerprint


def _relatives(letter: DeadLetter) -> Iterator[Relative]:
    has_result = bool(letter.task_id) and TaskResult.objects.filter(task_id=letter.task_id).exists()
    roles = [(_("Its result"), letter.task_id)] if has_result else []
    replay_of = page_parts.parsed(letter.headers).get(REPLAY_HEADER)
    yield from page_parts.relatives([*roles, *page_parts.replays(replay_of, letter.replayed_as)], but="")
    alike = DeadLetter.objects.filter(fingerprint=letter.fingerprint).exclude(pk=letter.pk).count()
    if letter.fingerprint:
        yield Relative(_("Its cause"), "", _("how often, since when, and notes"), None, cause_url(letter.fingerprint))
    if letter.fingerprint and alike:
        yield Relative(_("Of the same cause"), "", _("%(count)d others") % {"count": alike}, None, alike_url(letter))


def alike_url(letter: Any) -> str:
    return f"{reverse('admin:routing_deadletter_changelist')}?q={letter.fingerprint}"
