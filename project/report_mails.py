"""Tells the reporting domain what became of its mails: the two know each other here alone."""

from collections.abc import Mapping, Sequence

from django.urls import reverse

from notifications.delivery_words import rows_of
from notifications.tables import Delivery
from reporting.mail_states import MailState


def told(keys: Sequence[str]) -> Mapping[str, MailState]:
    """By the mails' keys. Three questions to the database, however many there are."""
    rows = list(Delivery.objects.filter(notification__key__in=keys).select_related("notification").defer("context"))
    seen = rows_of(rows)
    return {
        str(row.notification.key): MailState(
            seen[row.pk].state,
            why=seen[row.pk].why,
            at=row.finished_at,
            url=reverse("admin:notifications_delivery_change", args=[row.pk]),
        )
        for row in rows
    }
