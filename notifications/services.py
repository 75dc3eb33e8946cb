"""What other code calls to reach people."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

from celery.result import AsyncResult
from django.db import transaction

from notifications import deciding, given, lanes, many, storing
from notifications.draft import Draft
from notifications.given import Given, Recipient
from notifications.many import OnBatch
from notifications.problems import InvalidNotification, Problem
from notifications.storing import BATCH, Writer
from notifications.tables import Notification
from routing.domains import DEFAULT_LANE

logger = logging.getLogger(__name__)


def notify(to: Given | Iterable[Given], **draft: Any) -> Notification:
    """Write to one recipient or many, each alone, in the caller's transaction: rolled back, nobody is.

    ``draft`` is ``template`` and ``context``, or ``subject`` with ``text`` or ``html``; and ``lane``, ``category``,
    ``key``, ``language``, ``send_at`` (aware), ``from_email``, ``reply_to``, ``attachments`` and ``created_by``. Safe
    to call again with the same ``key``: it returns the notification of the first call.

    Raises InvalidNotification, which names every field that is wrong, before anything is stored.
    """
    wanted = Draft(**draft)
    with transaction.atomic():
        recipients = batches(given.each(to, channel=wanted.channel))
        first = next(recipients, [])
        notification, is_new = storing.begin(wanted, first)
        if not is_new:
            if notification.fingerprint != wanted.fingerprint:
                logger.warning("%s: asked for again with other content; the first stays", notification.key)
            return notification
        writer = Writer(notification, wanted.context, first=first)
        position = 0
        for batch in chain([first] if first else [], recipients):
            stored = writer.add(batch, position=position)
            assert stored is not None, "nobody else can see the notification yet"  # noqa: S101
            if stored.rejected:
                raise InvalidNotification(
                    [Problem(f"to.{bad.position}", f"cannot be written to: {bad.reason}.") for bad in stored.rejected]
                )
            position += len(batch)
        if not position:
            raise InvalidNotification([Problem("to", "names no recipient.")])
        writer.finish()
    return notification


def notify_many(
    recipients: Given | Iterable[Given],
    *,
    key: str,
    allow_duplicates: bool = False,
    on_batch: OnBatch | None = None,
    **draft: Any,
) -> Notification:
    """Write to as many as there are, each alone, in bounded memory and in transactions of its own, batch by batch.

    ``recipients`` may be an iterator, which is read once, or a queryset. The first are written to while later ones are
    still being stored. Called again with the same ``key`` and the same recipients in the same order, it goes on after
    the last batch that was committed, whatever became of the first call; two calls at once share the work.

    Who cannot be written to, or comes a second time, is left out, and told: to ``on_batch``, which is called with a
    notifications.many.Batch after each commit, and for good in ``notification.rejections``. What ``on_batch`` raises
    stops it, to be gone on with. So does cancelling the notification, for good.

    Raises InvalidNotification, which names every field that is wrong, before anything is stored, TypeError for what
    cannot be a recipient at all, and RuntimeError within a transaction.
    """
    return many.store(Draft(key=key, **draft), recipients, allow_duplicates=allow_duplicates, on_batch=on_batch)


def send_email(
    *,
    to: Sequence[str],
    subject: str,
    text: str,
    html: str | None = None,
    from_email: str | None = None,
    reply_to: Sequence[str] = (),
    lane: str = DEFAULT_LANE,
) -> AsyncResult[Any]:
    """Check an e-mail and enqueue the task that writes to each of ``to``. Raises InvalidNotification."""
    from notifications import tasks  # which calls this module

    Draft(subject=subject, text=text, html=html or "", from_email=from_email, reply_to=reply_to, lane=lane).checked()
    given.check(to)
    message = {"subject": subject, "text": text, "to": list(to), "html": html, "from_email": from_email}
    kwargs = {name: value for name, value in {**message, "reply_to": list(reply_to)}.items() if value}
    handle: AsyncResult[Any] = tasks.send_email.apply_async(kwargs=kwargs, queue=lanes.queue(lane))
    return handle


def cancel(notification: Notification, *, by: str = "") -> int:
    """Nobody who has not been written to yet will be; says how many. Safe to call again."""
    return deciding.cancel_notification(notification, by=by)


def batches(recipients: Iterator[Recipient]) -> Iterator[list[Recipient]]:
    while batch := list(islice(recipients, BATCH)):
        yield batch
