"""What somebody does on a page about notifications is in the log, or it was not done; or the log says that it began."""

import signal
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

from notifications.consent import choices
from notifications.consent.suppression_list import reasons, suppress
from notifications.consent.tables import Preference
from notifications.pacing import circuit
from notifications.pacing.tables import Gate
from notifications.tables import Delivery
from notifications.templating import retiring
from notifications.templating.tables import Template
from tests.console.test_deeds_logged import LogIsFull, dies, full_log
from tests.notifications.consenting import ANN
from tests.notifications.test_admin_notifications import LIST, cancel, newsletter
from tests.notifications.test_pacing_pages import GATE

__all__ = ["full_log"]

pytestmark = pytest.mark.django_db(transaction=True)
KEYS = "_selected_action"
Deed = tuple[Callable[[Client], object], Callable[[], object]]


@pytest.fixture
def ada(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


def acts(url: str, action: str, key: Any, **data: Any) -> Callable[[Client], object]:
    return lambda client: client.post(f"/admin/notifications/{url}/", {"action": action, KEYS: [key], **data})


def lifts() -> Deed:
    row, _ = suppress(ANN, reason="bounced")
    do = acts("suppression", "lift_selected", row.pk, confirmed="yes", because="x")
    return do, lambda: reasons(ANN, channel="email") == {"bounced"}


def unsubscribes() -> Deed:
    choices.choose(ANN, {"news": True}, source="page")
    do = acts("preference", "unsubscribe_selected", Preference.objects.get().pk)
    return do, lambda: Preference.objects.get().wanted


def tries() -> Deed:
    for _ in range(circuit.FAILURES):
        circuit.failed(GATE, "Connection refused.")
    before = Gate.objects.get(pk=GATE).probe_at
    return acts("gate", "try_selected", GATE), lambda: Gate.objects.get(pk=GATE).probe_at == before


def retires() -> Deed:
    template = Template.objects.create(name="order")
    do = lambda _client: retiring.retire(template, by=User.objects.get())  # noqa: E731
    return do, lambda: Template.objects.get().retired_at is None


@pytest.mark.any_database
@pytest.mark.parametrize("deed", [lifts, unsubscribes, tries, retires])
def test_what_cannot_be_logged_is_not_done(ada: Client, full_log: None, deed: Callable[[], Deed]) -> None:
    do, is_left = deed()

    with pytest.raises(LogIsFull):
        do(ada)

    assert is_left()


def test_of_who_dies_while_many_are_cancelled_the_log_says_that_it_began(ada: Client) -> None:
    """They are too many for one transaction."""
    row = newsletter()

    data = {"action": "cancel_selected", "confirmed": "yes", KEYS: str(row.pk)}
    died = dies(LIST, data, fault="cancel.committed")

    assert died == -signal.SIGKILL
    assert row.deliveries.filter(state=Delivery.State.PENDING).count() == 3, "the batch at hand is undone"
    begun = LogEntry.objects.get()
    assert "how many deliveries that caught is not known" in begun.change_message
    assert "it still caught 3 deliveries" in cancel(ada, row, confirmed="yes")
    told = LogEntry.objects.exclude(pk=begun.pk).get().change_message
    assert told == "Cancelled; it still caught 3 deliveries."
