"""Stores a notification: its row, one delivery for each recipient, and one task for each delivery, all together."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from notifications import attachments, channels, languages, rows, sealing, storable
from notifications.addresses import InvalidAddress
from notifications.channels.shape import Address
from notifications.draft import Draft
from notifications.given import Recipient
from notifications.lanes import queue
from notifications.rows import Row
from notifications.storable import UnusableValues
from notifications.tables import Delivery, Notification, Rejection
from notifications.templating import versions
from notifications.templating.retiring import Retired

BATCH = 500


@dataclass(frozen=True)
class Rejected:
    """A recipient that cannot be written to."""

    position: int
    recipient: Recipient
    reason: str


@dataclass
class Stored:
    """What became of some recipients."""

    deliveries: list[Row] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def have_own_values(first: Sequence[Recipient]) -> bool:
    """Of the first recipients, any: then nothing is known of what the common values make alone."""
    return any(recipient.context for recipient in first)


def begin(draft: Draft, first: Sequence[Recipient]) -> tuple[Notification, bool]:
    """The notification of this draft's key, and whether it is new. Raises InvalidNotification. Within a transaction."""
    try:
        row = draft.checked(is_filled_in_later=have_own_values(first))
    except Retired:
        # What was asked for before that stays asked for, and is gone on with.
        if found := _of_key(draft.key):
            return found, False
        raise
    if found := _of_key(draft.key):
        return found, False
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        # Somebody else stored it since we looked.
        if not (found := _of_key(draft.key)):
            raise
        return found, False
    attachments.store(row, draft.files)
    return row, True


def _of_key(key: str | None) -> Notification | None:
    return None if key is None else Notification.objects.filter(key=key).first()


class Writer:
    """Adds recipients to a notification, a batch at a time, each within the caller's transaction.

    ``context`` are the common values, of which its row has masked what is secret.
    """

    def __init__(
        self,
        notification: Notification,
        context: Mapping[str, Any],
        *,
        first: Sequence[Recipient],
        allow_duplicates: bool = False,
    ) -> None:
        self._notification = notification
        self._channel = channels.get(notification.channel)
        version = notification.template
        self._secret = version.secret if version else frozenset()
        self._needed = version.required - context.keys() if version else frozenset()
        self._common = context
        _, self._common_secrets = sealing.split(context, self._secret)
        self._allow_duplicates = allow_duplicates
        self._is_filled_in_already = not have_own_values(first)

    def add(self, recipients: Sequence[Recipient], *, position: int) -> Stored | None:
        """The next ones, the first of which is at ``position``.

        None, and nothing is stored, if others have added these meanwhile or the notification has been cancelled.
        """
        if not self._advance(position, len(recipients)):
            return None
        stored = Stored()
        made = list(self._made(recipients, position, stored.rejected))
        stored.deliveries = (
            made if self._allow_duplicates else list(self._new(made, recipients, position, stored.rejected))
        )
        self._store(stored)
        return stored

    def finish(self) -> None:
        """Nobody is to be added any more. Safe to call again."""
        Notification.objects.filter(pk=self._notification.pk, cancelled_at=None).update(is_complete=True)
        self._notification.refresh_from_db()

    def _advance(self, position: int, count: int) -> bool:
        """Locks the notification's row, too: its batches, and its cancelling, come one after the other."""
        here = Notification.objects.filter(pk=self._notification.pk, consumed=position, cancelled_at=None)
        return here.update(consumed=position + count) == 1

    def _made(self, recipients: Sequence[Recipient], position: int, rejected: list[Rejected]) -> Iterator[Row]:
        for number, recipient in enumerate(recipients, position):
            try:
                row = self._row(recipient, self._address(recipient), number)
                # One of each batch is filled in; what is wrong with a single other one is found on its way.
                if number == position:
                    self._fill_in(recipient)
                yield row
            except (InvalidAddress, MissingValues, UnusableValues) as error:
                rejected.append(Rejected(number, recipient, str(error).rstrip(".")))

    def _address(self, recipient: Recipient) -> Address:
        if recipient.problem:
            raise InvalidAddress(recipient.problem)
        return storable.require_address(self._channel.address(recipient.to))

    def _require(self, recipient: Recipient) -> None:
        if missing := self._needed - recipient.context.keys():
            raise MissingValues(f"the template needs {', '.join(sorted(missing))}")

    def _language(self, recipient: Recipient) -> str:
        return languages.nearest(recipient.language) or self._notification.language

    def _row(self, recipient: Recipient, address: Address, position: int) -> Row:
        self._require(recipient)
        context, hidden = sealing.split(recipient.context, self._secret)
        if hidden:
            storable.as_json(hidden)
        return Row(
            position=position,
            repeat=position if self._allow_duplicates else 0,
            address=address.written,
            address_key=address.key,
            context=storable.as_json(context),
            language=self._language(recipient),
            sealed=sealing.seal({**self._common_secrets, **hidden}),
            task_id=str(uuid4()),
        )

    def _fill_in(self, recipient: Recipient) -> None:
        version, notification = self._notification.template, self._notification
        if version is None or (self._is_filled_in_already and not recipient.context):
            return
        values = json.loads(json.dumps({**self._common, **recipient.context}, cls=DjangoJSONEncoder))
        sender = notification.from_email
        for problem in versions.problems(
            version, values, channel=notification.channel, sender=sender, language=self._language(recipient)
        ):
            raise MissingValues(f"{problem.field} {problem.detail}")

    def _new(
        self, made: Sequence[Row], recipients: Sequence[Recipient], position: int, rejected: list[Rejected]
    ) -> Iterator[Row]:
        keys = [delivery.address_key for delivery in made]
        # Where a first batch begins, there is nobody yet.
        mine = Delivery.objects.filter(notification=self._notification, address_key__in=keys if position else [])
        seen = dict(mine.values_list("address_key", "position"))
        for delivery in made:
            first = seen.setdefault(delivery.address_key, delivery.position)
            if first == delivery.position:
                yield delivery
            else:
                given = recipients[delivery.position - position]
                rejected.append(Rejected(delivery.position, given, f"{delivery.address_key} is in it already"))

    def _store(self, stored: Stored) -> None:
        notification, deliveries = self._notification, stored.deliveries
        Rejection.objects.bulk_create(
            storable.rejection(notification, bad.position, address=bad.recipient.to, reason=bad.reason)
            for bad in stored.rejected
        )
        if deliveries:
            rows.insert(notification, deliveries)
            Notification.objects.filter(pk=notification.pk).update(recipients=F("recipients") + len(deliveries))
            enqueue(notification, deliveries)


class MissingValues(ValueError):
    """A recipient without the values that the template needs, or whose values do not fit it."""


def _later(moment: datetime | None) -> datetime | None:
    """One that is past is now: it would go ahead of all that waits in its lane."""
    return moment if moment is not None and moment > timezone.now() else None


def enqueue(notification: Notification, deliveries: Iterable[Delivery | Row]) -> None:
    """One task for each, under the id that the delivery names."""
    from notifications.tasks import deliver  # what a task does needs what stores it

    listed, key = list(deliveries), str(notification.pk)
    deliver.enqueue_many(  # type: ignore[attr-defined]
        [(key, delivery.position) for delivery in listed],
        task_ids=[delivery.task_id for delivery in listed],
        queue=queue(notification.lane),
        eta=_later(notification.send_at),
    )
