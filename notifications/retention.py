"""Notifications that nobody asks about any more go: first what they said, then the attempts, then the rows.

Never one that has not come to its end. Suppressed addresses, preferences and versions of templates stay.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar

from django.conf import settings
from django.core.files.storage import FileSystemStorage, Storage
from django.db import router, transaction
from django.db.models import SET_NULL, Exists, Model, OuterRef, Q, QuerySet, Value
from django.utils import timezone
from django.utils.translation import gettext_noop

from notifications import by_age
from notifications.consent.tables import Feedback
from notifications.inbox.tables import InAppMessage
from notifications.lanes import domain
from notifications.tables import Attachment, Attempt, Delivery, Notification
from routing.ledger.retention.kinds import Batch, Counts, Rows, What, expiring

OPEN = (Delivery.State.PENDING, Delivery.State.SENDING)
FOLDER = "notifications"
"""Of Django's storage, where attachments lie, in a folder for each day."""
ORPHANED_AFTER = timedelta(days=2)
"""A file without a row is then one whose transaction was rolled back, or whose row has gone."""


class Aged(Rows):
    """Rows whose keys rise with the time of the column ``at``."""

    model: ClassVar[type[Model]]
    at: ClassVar[str]

    @property
    def until(self) -> datetime:
        raise NotImplementedError

    def rows(self) -> QuerySet[Any]:
        rows: QuerySet[Any] = self.model._base_manager.using(self.using).filter(self._old)
        named: QuerySet[Any] = rows.annotate(domain=Value(domain().name))
        return named

    @property
    def using(self) -> str:
        return str(router.db_for_write(self.model))

    @cached_property
    def _old(self) -> Q:
        return by_age.before(self.model, self.at, self.until, using=self.using)


@expiring
class Values(Aged):
    """What only one recipient was told, and what was secret. It is emptied, and its delivery stays."""

    kind = gettext_noop("values of deliveries")
    labels = ("domain", "state")
    model, at = Delivery, "created_at"

    @property
    def until(self) -> datetime:
        return self.now - settings.TASKYARD_CONTENTS_KEPT

    def due(self) -> Q:
        held = ~Q(context={}) | ~Q(sealed="")
        return held & Q(emptied_at=None, finished_at__lt=self.until) & ~Q(state__in=OPEN)

    def delete(self, keys: list[Any]) -> None:
        rows = Delivery.objects.using(self.using).filter(pk__in=keys)
        rows.update(context={}, sealed="", emptied_at=timezone.now())


@expiring
class Reports(Aged):
    """Bounces and complaints; the suppressions that came of them stay."""

    kind = gettext_noop("bounces and complaints")
    labels = ("domain", "kind")
    model, at = Feedback, "received_at"

    @property
    def until(self) -> datetime:
        return self.now - settings.TASKYARD_NOTIFICATIONS_KEPT


@expiring
class Files(Rows):
    """Attachments, with their files: those go once it is sure that the rows have."""

    kind = gettext_noop("attachments")

    def rows(self) -> QuerySet[Any]:
        return Attachment.objects.filter(notification__in=Notification.objects.filter(_is_over(self._until())))

    def delete(self, keys: list[Any]) -> None:
        delete_attachments(Attachment.objects.using(self.using).filter(pk__in=keys))

    def _until(self) -> datetime:
        return self.now - settings.TASKYARD_CONTENTS_KEPT


@expiring
class Contents(Rows):
    """What all recipients were told, but for the subject. It is emptied, and its notification stays."""

    kind = gettext_noop("contents of notifications")
    by = "created_at"

    def rows(self) -> QuerySet[Any]:
        return Notification.objects.filter(created_at__lt=self._until())

    def due(self) -> Q:
        held = ~Q(context={}) | ~Q(text="") | ~Q(html="")
        return held & Q(emptied_at=None) & _is_over(self._until())

    def delete(self, keys: list[Any]) -> None:
        # Looked at again, now that their rows are held: one of its deliveries may be sent again since then.
        rows = Notification.objects.using(self.using).filter(_is_over(self._until()), pk__in=keys)
        rows.update(context={}, text="", html="", emptied_at=timezone.now())

    def _until(self) -> datetime:
        return self.now - settings.TASKYARD_CONTENTS_KEPT


@expiring
class Inboxes(Aged):
    kind = gettext_noop("in-app messages")
    model, at = InAppMessage, "created_at"

    @property
    def until(self) -> datetime:
        return self.now - settings.TASKYARD_CONTENTS_KEPT


@expiring
class Attempts(Aged):
    kind = gettext_noop("attempts at deliveries")
    model, at = Attempt, "started_at"

    @property
    def until(self) -> datetime:
        return self.now - settings.TASKYARD_ATTEMPTS_KEPT

    def due(self) -> Q:
        return ~Q(delivery__state__in=OPEN)


@expiring
class Deliveries(Aged):
    """By their end: one that is sent again after a year is as young as that."""

    kind = gettext_noop("deliveries")
    labels = ("domain", "state")
    model, at = Delivery, "created_at"

    @property
    def until(self) -> datetime:
        return self.now - settings.TASKYARD_NOTIFICATIONS_KEPT

    def due(self) -> Q:
        return Q(finished_at__lt=self.until) & ~Q(state__in=OPEN)

    def delete(self, keys: list[Any]) -> None:
        _let_go(Delivery, keys, using=self.using)
        super().delete(keys)


@expiring
class Notifications(Rows):
    """They go with the last of their deliveries; from then on their key may be used for something else."""

    kind = gettext_noop("notifications")
    by = "created_at"

    def rows(self) -> QuerySet[Any]:
        return Notification.objects.filter(created_at__lt=self._until())

    def due(self) -> Q:
        stays = Q(state__in=OPEN) | Q(finished_at__gte=self._until()) | Q(finished_at=None)
        return ~Q(Exists(Delivery.objects.filter(stays, notification=OuterRef("pk"))))

    def delete(self, keys: list[Any]) -> None:
        # As a rule they are gone; one that another clean-up held, or that came with an old date, is not.
        left = Delivery.objects.using(self.using).filter(notification__in=keys)
        _let_go(Delivery, list(left.values_list("pk", flat=True)), using=self.using)
        delete_attachments(Attachment.objects.using(self.using).filter(notification__in=keys))
        _let_go(Notification, keys, using=self.using)
        super().delete(keys)

    def _until(self) -> datetime:
        return self.now - settings.TASKYARD_NOTIFICATIONS_KEPT


@expiring
class OrphanedFiles(Rows):
    """Files of attachments whose transaction was rolled back, or whose clean-up died before it came to the file."""

    kind = gettext_noop("orphaned files of attachments")

    def __init__(self, now: datetime) -> None:
        super().__init__(now)
        self._storage: Storage = Attachment._meta.get_field("file").storage
        self._days = _days(self._storage, before=(now - ORPHANED_AFTER).strftime("%Y/%m/%d"))

    def rows(self) -> QuerySet[Any]:
        return Attachment.objects.all()

    def count(self) -> Counts:
        return Counter({What(self.kind): sum(len(self._orphans(day)) for day in self._days)})

    def batch(self, limit: int) -> Batch:
        day = next(self._days, None)
        if day is None:
            return Batch(Counter(), last=True)
        orphans = self._orphans(day)
        _remove(self._storage, orphans)
        if isinstance(self._storage, FileSystemStorage) and not any(self._storage.listdir(day)):
            # A folder, which nobody writes to any more.
            self._storage.delete(day)
        return Batch(Counter({What(self.kind): len(orphans)}), last=False)

    def _orphans(self, day: str) -> list[str]:
        names = {f"{day}/{name}" for name in self._storage.listdir(day)[1]}
        if not names:
            return []
        rows = Attachment.objects.using(self.using).filter(file__startswith=f"{day}/")
        return sorted(names.difference(rows.values_list("file", flat=True)))


def _is_over(until: datetime) -> Q:
    """All of its recipients are stored, and each delivery came to its end by then."""
    mine = Delivery.objects.filter(notification=OuterRef("pk"))
    young = mine.filter(Q(state__in=OPEN) | Q(finished_at__gte=until))
    stored = Q(is_complete=True) | Q(cancelled_at__lt=until)
    return stored & Q(created_at__lt=until) & ~Q(Exists(young))


def _let_go(model: type[Model], keys: list[Any], *, using: str) -> None:
    """What points at these rows goes with them, or forgets them: an address stays suppressed, whatever it was for."""
    for relation in model._meta.related_objects:
        rows = relation.related_model._base_manager.using(using).filter(**{f"{relation.field.name}__in": keys})
        if relation.on_delete is SET_NULL:
            rows.update(**{relation.field.name: None})
        else:
            rows._raw_delete(using)


def delete_attachments(rows: QuerySet[Any]) -> None:
    # What lies elsewhere in the storage is the application's own.
    names = list(rows.filter(file__startswith=f"{FOLDER}/").values_list("file", flat=True))
    storage = Attachment._meta.get_field("file").storage
    rows._raw_delete(rows.db)
    # A file that outlives its row is found as an orphan; a row that outlives its file would promise what is gone.
    transaction.on_commit(lambda: _remove(storage, names), using=rows.db)


def _remove(storage: Any, names: Iterable[str]) -> None:
    for name in names:
        storage.delete(name)


def _days(storage: Storage, *, before: str) -> Iterator[str]:
    """The folders of the days before that one, such as ``notifications/2026/11/27``."""
    for folder in _folders(storage, FOLDER, 3):
        if folder.partition("/")[2] < before:
            yield folder


def _folders(storage: Storage, folder: str, depth: int) -> Iterator[str]:
    if depth == 0:
        yield folder
        return
    try:
        names = sorted(storage.listdir(folder)[0])
    except FileNotFoundError:
        return
    for name in filter(str.isdigit, names):
        yield from _folders(storage, f"{folder}/{name}", depth - 1)
