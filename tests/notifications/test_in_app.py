"""In-app messages: each is stored once for its user, who alone can read it and mark it read."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

import notifications
from notifications import finding
from notifications.consent import choices
from notifications.consent.suppression_list import suppress
from notifications.delivering import Refused, deliver
from notifications.erasable import Inboxes as Erased
from notifications.inbox import reading
from notifications.inbox.tables import InAppMessage
from notifications.problems import InvalidNotification
from notifications.retention import Deliveries, Inboxes
from notifications.tables import Delivery, Notification
from notifications.templating.tables import Template, TemplateVersion
from routing import faults
from routing.erasing import Term

pytestmark = pytest.mark.django_db
INBOX = "/notifications/inbox"


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def ben() -> User:
    return User.objects.create_user("ben@example.org", email="benedict@example.org")


@pytest.fixture
def browser(client: Client, ada: User) -> Client:
    client.force_login(ada)
    return client


def tell(to: Any, **changes: Any) -> Notification:
    said = {"channel": "in_app", "subject": "Your export is ready", "text": "Fetch it.", **changes}
    notification: Notification = notifications.notify(to, **said)
    return notification


def run(notification: Notification) -> list[dict[str, Any]]:
    rows = notification.deliveries.order_by("position")
    return [deliver(str(row.notification_id), row.position, task_id=row.task_id) for row in rows]


def told(to: Any, count: int = 1) -> list[InAppMessage]:
    for number in range(count):
        run(tell(to, subject=f"Nr. {number}"))
    return list(InAppMessage.objects.order_by("pk"))


def test_a_user_is_told_whatever_their_address_is(ada: User, ben: User) -> None:
    notification = tell([ada, "ben@example.org"])

    assert [one["state"] for one in run(notification)] == ["sent", "sent"]

    rows = list(InAppMessage.objects.order_by("pk"))
    assert [(row.user, row.subject, row.text) for row in rows] == [
        (ada, "Your export is ready", "Fetch it."),
        (ben, "Your export is ready", "Fetch it."),
    ]
    assert [row.address for row in notification.deliveries.order_by("position")] == ["ada", "ben@example.org"]


def test_all_users_of_a_queryset_are_told(ada: User, ben: User) -> None:
    assert len(run(tell(User.objects.all()))) == InAppMessage.objects.count() == 2


def test_a_death_in_the_window_stores_it_once(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    notification = tell(ada)

    def die(name: str) -> None:
        if name == "delivery.taken":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(faults, "point", die)
        with pytest.raises(KeyboardInterrupt):
            run(notification)
    reading.mark_read(ada, until=InAppMessage.objects.get().pk)
    run(notification)

    assert InAppMessage.objects.get().read_at is not None, "the first one stays"
    assert notification.deliveries.get().state == Delivery.State.SENT


def test_what_the_user_does_not_want_or_must_not_get_is_suppressed(ada: User) -> None:
    choices.choose(f"user:{ada.pk}", {"news": False}, source="admin")

    assert run(tell(ada, category="news"))[0]["state"] == "suppressed"
    assert run(tell(ada))[0]["state"] == "sent"
    suppress("ada", channel="in_app")
    assert run(tell(ada))[0]["state"] == "suppressed"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"to": "nobody"}, r"to\.0 cannot be written to: 'nobody' is no user of this site"),
        ({"to": "a\0b"}, "is no user of this site"),
        ({"subject": ""}, "subject has to be one line of 1 to 250 characters"),
        ({"subject": "one\ntwo"}, "subject has to be one line"),
        ({"text": "x" * 20_001}, "text is longer than 20,000 characters"),
        ({"reply_to": ["ann@example.org"]}, "reply_to is nothing that an in-app message has"),
    ],
)
def test_what_cannot_be_told_is_refused_at_the_call(changes: dict[str, Any], said: str, ada: User) -> None:
    with pytest.raises(InvalidNotification, match=said):
        tell(**{"to": ada, **changes})


def test_a_template_with_secrets_is_refused(ada: User) -> None:
    template = Template.objects.create(name="reset")
    variables = [{"name": "link", "required": True, "secret": True, "sample": "x", "description": ""}]
    TemplateVersion.objects.create(template=template, number=1, subject="Hi", text="{{ link }}", variables=variables)

    with pytest.raises(InvalidNotification, match="'reset' has secret variables, and this channel would keep them"):
        tell(ada, subject="", text="", template="reset", context={"link": "https://example.org/secret"})


def test_a_user_who_is_gone_is_told_of(ada: User) -> None:
    notification = tell(ada)
    ada.delete()

    with pytest.raises(Refused, match="'ada' is no user of this site any more"):
        run(notification)


def test_a_name_that_somebody_else_has_by_now_tells_them_nothing(ada: User) -> None:
    notification = tell(ada)
    User.objects.filter(pk=ada.pk).update(username="lovelace")
    other = User.objects.create_user("ada")

    run(notification)

    assert InAppMessage.objects.get().user != other


def test_it_is_found_by_the_name_of_its_user(ada: User, ben: User) -> None:
    mine, theirs = tell(ada).deliveries.get(), tell(ben).deliveries.get()

    assert list(Delivery.objects.filter(finding.deliveries("ada").where)) == [mine]
    assert list(Delivery.objects.filter(finding.deliveries("ben@example.org").where)) == [theirs]
    assert finding.of_address("ada", channel="in_app").rows == [mine]


def test_its_page_shows_it(admin_client: Client, ada: User) -> None:
    (row,) = told(ada)

    page = admin_client.get(f"/admin/notifications/delivery/{row.delivery_id}/change/").content.decode()
    source = admin_client.get(f"/admin/notifications/delivery/{row.delivery_id}/source/")

    assert "This is exactly what went out." in page
    assert source.content == b"Nr. 0\n\nFetch it."


def test_an_inbox_comes_page_by_page_the_newest_first(browser: Client, ada: User, ben: User) -> None:
    told(ben)
    told(ada, 5)

    first = browser.get(f"{INBOX}?limit=3").json()
    second = browser.get(first["next"]).json()

    assert [one["subject"] for one in first["messages"]] == ["Nr. 4", "Nr. 3", "Nr. 2"]
    assert [one["subject"] for one in second["messages"]] == ["Nr. 1", "Nr. 0"]
    assert (first["unread"], second["next"]) == (5, None)


def test_what_was_read_is_unread_no_more(browser: Client, ada: User) -> None:
    rows = told(ada, 3)

    one = browser.post(f"{INBOX}/read", {"ids": [rows[1].pk]}, content_type="application/json").json()
    left = browser.get(f"{INBOX}?unread=1").json()["messages"]
    again = browser.post(f"{INBOX}/read", {"ids": [rows[1].pk]}, content_type="application/json").json()
    rest = browser.post(f"{INBOX}/read", {"until": rows[2].pk}, content_type="application/json").json()

    assert one == {"marked": 1, "unread": 2}
    assert [each["subject"] for each in left] == ["Nr. 2", "Nr. 0"]
    assert again == {"marked": 0, "unread": 2}
    assert rest == {"marked": 2, "unread": 0}
    assert browser.get(f"{INBOX}/unread").json() == {"unread": 0}


def test_nobody_reads_or_marks_what_is_anothers(browser: Client, ben: User) -> None:
    (row,) = told(ben)

    assert browser.get(INBOX).json()["messages"] == []
    for asked in ({"ids": [row.pk]}, {"until": row.pk}):
        assert browser.post(f"{INBOX}/read", asked, content_type="application/json").json()["marked"] == 0
    assert InAppMessage.objects.get().read_at is None


def test_nobody_reads_without_signing_in_and_no_other_site_marks(ada: User) -> None:
    stranger = Client(enforce_csrf_checks=True)
    assert [stranger.get(path).status_code for path in (INBOX, f"{INBOX}/unread")] == [401, 401]

    stranger.force_login(ada)

    assert stranger.post(f"{INBOX}/read", {"until": 1}, content_type="application/json").status_code == 403
    assert stranger.get(INBOX)["Cache-Control"].count("no-store") == 1


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("limit=0", "limit is '0'; give a whole number from 1 to 200."),
        ("limit=1000", "limit is '1000'"),
        ("cursor=x", "cursor is 'x'"),
        ("cursor=9223372036854775808", "cursor is"),
        ("unread=yes", "unread is 'yes'; give 1, or leave it out."),
    ],
)
def test_a_wrong_question_is_told_its_cure(browser: Client, question: str, said: str) -> None:
    answer = browser.get(f"{INBOX}?{question}")

    assert (answer.status_code, said in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "{}", '{"ids": 7}', '{"ids": ["7"]}', '{"until": true}', '{"ids": [1], "until": 2}']
)
def test_what_marks_nothing_is_told_its_cure(browser: Client, body: str) -> None:
    answer = browser.post(f"{INBOX}/read", body, content_type="application/json")

    assert (answer.status_code, 'Send {"ids": [7, 8]}' in answer.json()["detail"]) == (422, True)


def test_it_goes_with_what_was_said_and_never_holds_a_delivery_up(ada: User) -> None:
    told(ada, 2)
    now = timezone.now()
    InAppMessage.objects.filter(subject="Nr. 0").update(created_at=now - timedelta(days=31))
    assert Inboxes(now).batch(100).removed.total() == 1
    assert InAppMessage.objects.get().subject == "Nr. 1"

    Deliveries(now).delete(list(Delivery.objects.values_list("pk", flat=True)))

    assert not InAppMessage.objects.exists()
    assert not Delivery.objects.exists()


def test_one_that_mentions_whoever_is_erased_goes(ada: User) -> None:
    run(tell(ada, text="Ann (ann@example.org) has signed up."))
    kept = InAppMessage.objects.create(user=ada, delivery=tell(ada).deliveries.get(), subject="Other", text="No.")
    term = Term("ann@example.org")

    for keys, _ in Erased().windows(term):
        for row in InAppMessage.objects.filter(pk__in=keys):
            Erased().erase(row, term, by="ada")

    assert InAppMessage.objects.get() == kept
