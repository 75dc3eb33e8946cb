"""Stores a notification to very many people, a committed batch at a time: whatever dies, it goes on where it was."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from django.db import transaction

from notifications import given, storing
from notifications.draft import Draft
from notifications.given import Given, Recipient
from notifications.problems import InvalidNotification, Problem
from notifications.storing import BATCH, Rejected, Writer
from notifications.tables import Notification
from routing import faults

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What has just been committed."""

    notification: Notification
    consumed: int
    """How many of the recipients have been gone through by now."""
    stored: int
    """Deliveries of this batch."""
    rejected: Sequence[Rejected]
    """Those of this batch that cannot be written to; ``notification.rejections`` keeps all of them."""


OnBatch = Callable[[Batch], object]


def store(
    draft: Draft,
    recipients: Given | Iterable[Given],
    *,
    allow_duplicates: bool = False,
    on_batch: OnBatch | None = None,
) -> Notification:
    """As ``notifications.services.notify_many`` tells."""
    _require_key(draft)
    _require_no_transaction()
    reader = _Reader(given.each(recipients, channel=draft.channel))
    first = reader.first()
    if not first:
        raise InvalidNotification([Problem("recipients", "names no recipient.")])
    with transaction.atomic():
        notification, is_new = storing.begin(draft, first)
    if not is_new:
        _tell(notification, draft)
    if not (notification.is_complete or notification.cancelled_at):
        writer = Writer(notification, draft.context, first=first, allow_duplicates=allow_duplicates)
        _add_all(writer, notification, reader, on_batch)
    return notification


def going_on(notification: Notification) -> str:
    """What to do about one whose recipients are not all stored, for whoever looks at it; empty where they are."""
    if notification.is_complete or notification.cancelled_at:
        return ""
    by = f" ({notification.created_by})" if notification.created_by else ""
    return (
        f"{notification.consumed:,} recipients have been gone through, and more were to come. If that stands still, "
        f"its caller{by} was stopped: the same call, with the key {notification.key!r}, goes on there."
    )


def _add_all(writer: Writer, notification: Notification, reader: "_Reader", on_batch: OnBatch | None) -> None:
    reader.skip_to(notification.consumed)
    while batch := reader.take():
        with transaction.atomic():
            stored = writer.add(batch, position=reader.position)
            faults.point("many.written")
        faults.point("many.committed")
        if stored is None:
            # Another caller with the same key was first, or somebody has cancelled it.
            notification.refresh_from_db()
            if notification.cancelled_at:
                return
            reader.give_back(batch)
            reader.skip_to(notification.consumed)
            continue
        reader.position += len(batch)
        if on_batch:
            on_batch(
                Batch(
                    notification=notification,
                    consumed=reader.position,
                    stored=len(stored.deliveries),
                    rejected=stored.rejected,
                )
            )
    writer.finish()


class _Reader:
    """Recipients one after the other, each with its position among them."""

    def __init__(self, recipients: Iterator[Recipient]) -> None:
        self._recipients = recipients
        self._held: list[Recipient] = []
        self.position = 0
        """Of the next one."""

    def first(self) -> list[Recipient]:
        """The first batch, which is held until it is taken."""
        self._held = list(islice(self._recipients, BATCH))
        return self._held

    def skip_to(self, position: int) -> None:
        """Fewer there may be: then there is nothing left."""
        count = position - self.position
        held, self._held = len(self._held), self._held[count:]
        for _ in islice(self._recipients, max(count - held, 0)):
            pass
        self.position = position

    def take(self) -> list[Recipient]:
        """The next batch. ``position`` stays where it is."""
        batch = [*self._held, *islice(self._recipients, BATCH - len(self._held))]
        self._held = []
        return batch

    def give_back(self, batch: list[Recipient]) -> None:
        self._held = batch


def _tell(notification: Notification, draft: Draft) -> None:
    if notification.fingerprint != draft.fingerprint:
        logger.warning("%s: asked for again with other content; the first stays", notification.key)
    if notification.consumed and not notification.is_complete:
        logger.info("%s: goes on after its first %s recipients", notification.key, f"{notification.consumed:,}")


def _require_key(draft: Draft) -> None:
    if draft.key is None:
        raise InvalidNotification(
            [Problem("key", "is missing: by it a call that was interrupted is known when it comes again.")]
        )


def _require_no_transaction() -> None:
    try:
        with transaction.atomic(durable=True):
            pass
    except RuntimeError:
        raise RuntimeError(
            "notify_many commits batch by batch and cannot be part of a transaction. Call it outside, or call notify()."
        ) from None
