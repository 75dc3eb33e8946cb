"""Tells the reporting domain what became of its mails, and who wants none: the two know each other here alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from notifications import categories
from notifications.addresses import InvalidAddress
from notifications.categories import Category
from notifications.consent import choices, rules, suppression_list
from notifications.delivery_words import objection_words, rows_of
from notifications.tables import Delivery
from reporting.mail_states import MailState
from reporting.runs.letters import CATEGORY
from reporting.subscribing.objections import Objection

CHANNEL = "email"


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


def objections(addresses: Sequence[str]) -> Mapping[str, Objection]:
    """Why those of them that are sent no report are not. Two questions to the database, however many there are."""
    keys = {address: _key(address) for address in addresses}
    found = rules.objections(set(keys.values()), _category(), channel=CHANNEL)
    return {
        address: Objection(
            objection_words(found[key], category=CATEGORY), is_their_own=found[key] == rules.UNSUBSCRIBED
        )
        for address, key in keys.items()
        if key in found
    }


def objecting() -> "Sequence[QuerySet[Any, Any]]":
    """The same of everybody: the addresses, in small letters, as conditions of a question to the database."""
    return (
        choices.unwanted(_category()).values("address_key"),
        suppression_list.in_force().filter(channel=CHANNEL).values("address_key"),
    )


def take_back(address: str) -> None:
    """Its reader wants reports again. Safe to call again."""
    choices.choose(_key(address), {CATEGORY: True}, source="page")


def _category() -> Category:
    return categories.get(CATEGORY)


def _key(address: str) -> str:
    try:
        return suppression_list.key(address, channel=CHANNEL)
    except InvalidAddress:
        # It cannot be written to, so nobody has said anything about it.
        return address.casefold()
