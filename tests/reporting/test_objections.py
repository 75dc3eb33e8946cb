"""Who has said no to all reports, or cannot be reached, is shown as such wherever a subscription is shown."""

from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from notifications.consent import choices, suppression_list
from notifications.consent.tables import Preference, Suppression
from reporting import links
from reporting.models import Subscription
from reporting.subscribing import objections
from tests.reporting.subscribers import subscribe

pytestmark = [pytest.mark.django_db]

LIST = "/admin/reporting/subscription/"


@pytest.fixture
def people() -> dict[str, Subscription]:
    """``no`` has used the one click of a mail reader, ``again`` has taken that back, the mail of ``back`` came back."""
    found = {name: subscribe(f"{name.capitalize()}@Example.org") for name in ("yes", "no", "again", "back")}
    for name in ("no", "again"):
        choices.choose(f"{name}@example.org", {"reports": False}, source="one-click")
    choices.choose("again@example.org", {"reports": True}, source="page")
    suppression_list.suppress("back@example.org", reason=Suppression.Reason.BOUNCED)
    return found


def public(one: Subscription) -> str:
    return links.subscriptions_url(one.pk).removeprefix(settings.SITE_URL)


def listed(client: Client, state: str) -> set[str]:
    rows: Any = client.get(LIST, {"state": state}).context["cl"].result_list
    return {one.email.partition("@")[0] for one in rows}


def test_the_list_tells_who_is_sent_nothing_and_why(admin_client: Client, people: dict[str, Subscription]) -> None:
    page = admin_client.get(LIST).content.decode()

    assert page.count("active</span>") == 2
    assert 'title="unsubscribed from “Reports”">wants no reports at all</span>' in page
    assert 'title="the address is suppressed: bounced">not sent</span>' in page
    assert listed(admin_client, "active") == {"Yes", "Again"}
    assert listed(admin_client, "refused") == {"No", "Back"}


def test_the_newest_choice_counts_also_under_a_name_from_before(
    people: dict[str, Subscription], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifications.categories.names", lambda name: (name, "weekly"))
    Preference.objects.create(address_key="yes@example.org", category="weekly", wanted=False, source="page")
    Preference.objects.create(address_key="no@example.org", category="weekly", wanted=True, source="page")

    refused = objections.among(Subscription.objects.all(), objecting=True)

    assert {one.email for one in refused} == {"Yes@Example.org", "Back@Example.org"}
    assert set(objections.of([one.email for one in people.values()])) == {"Yes@Example.org", "Back@Example.org"}


def test_a_subscription_that_is_ended_is_no_more_than_that(
    admin_client: Client, people: dict[str, Subscription]
) -> None:
    Subscription.objects.update(ended_at="2026-11-16T00:00Z")

    assert listed(admin_client, "refused") == set()
    assert admin_client.get(LIST).content.decode().count("unsubscribed</span>") == 4


def test_its_page_in_the_admin_says_so_and_who_saves_it_is_told(
    admin_client: Client, people: dict[str, Subscription]
) -> None:
    page = f"{LIST}{people['no'].pk}/change/"
    asked = {"email": "No@Example.org", "report": "weekly", "weekday": "0", "hour": "7", "time_zone": "UTC"}

    shown = [admin_client.get(page).content.decode(), admin_client.post(page, asked, follow=True).content.decode()]

    assert "Nothing is sent to this address: unsubscribed from “Reports”." in shown[0]
    assert "nothing is sent to No@Example.org: unsubscribed" in shown[1]


def test_its_reader_takes_it_back(client: Client, people: dict[str, Subscription]) -> None:
    page = public(people["no"])
    before = client.get(page).content.decode()

    after = client.post(page, {"do": f"want:{people['no'].pk}"}).content.decode()

    assert "You have unsubscribed from all reports" in before
    assert "Get them again" in before
    assert '"pause:' not in before
    assert "You get reports again" in after
    assert '"pause:' in after
    assert objections.against("no@example.org") is None


def test_a_button_of_a_page_from_before_promises_nothing(client: Client, people: dict[str, Subscription]) -> None:
    one = people["no"]
    Subscription.objects.filter(pk=one.pk).update(ended_at="2026-11-16T00:00Z")

    page = client.post(public(one), {"do": f"take_up:{one.pk}"}).content.decode()

    assert "You have unsubscribed from all reports" in page
    assert "again, from the next one on" not in page


def test_what_is_held_back_for_another_reason_is_not_its_readers_to_lift(
    client: Client, people: dict[str, Subscription]
) -> None:
    one = people["back"]

    page = client.post(public(one), {"do": f"want:{one.pk}"}).content.decode()

    assert "we hold back our mail" in page
    assert "You get reports again" not in page
    assert Suppression.objects.get().lifted_at is None
    assert not Preference.objects.filter(address_key="back@example.org").exists()


def test_without_a_domain_that_mails_them_nobody_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "TASKYARD_REPORT_MAILS", "")
    one = subscribe()

    assert objections.against(one.email) is None
    assert objections.among(Subscription.objects.all(), objecting=False).get() == one
    assert not objections.take_back(one.email)
