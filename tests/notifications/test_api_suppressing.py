"""Programs that keep the suppression list: what it says is what is not sent."""

import threading
from typing import Any

import pytest
from django.db import connection

from notifications import delivering, services
from notifications.consent.tables import Suppression
from notifications.tables import Delivery
from tests.api_client import Api, assert_problem, fields, new_token
from tests.notifications.mail_server import MailServer, mail_server

__all__ = ["mail_server"]

pytestmark = pytest.mark.django_db

ANN = "ann@example.org"


@pytest.fixture
def api(db: None) -> Api:
    return Api(new_token("suppressions:read", "suppressions:write"))


def written_to(address: str) -> str:
    delivery: Delivery = services.notify(address, subject="Hello", text="It works.\n").deliveries.get()
    told = delivering.deliver(str(delivery.notification_id), 0, task_id=delivery.task_id)
    return str(told["state"])


def test_a_suppressed_address_is_not_written_to_until_it_is_lifted(api: Api, mail_server: MailServer) -> None:
    new = api.put(f"suppressions/{ANN.upper()}", {"reason": "by_hand", "detail": "By telephone."})
    assert new.status_code == 201
    assert written_to(ANN) == "suppressed"

    assert api.delete(f"suppressions/{ANN}").json() == {"address": ANN, "lifted": 1}
    assert written_to(ANN) == "sent"


def test_who_suppressed_it_when_and_why_is_told(api: Api) -> None:
    api.put(f"suppressions/{ANN}", {"reason": "complained", "detail": "By telephone."})

    (told,) = api.get(f"suppressions?address={ANN}").json()["suppressions"]

    assert told.pop("since")
    assert told == {
        "address": ANN,
        "channel": "email",
        "reason": "complained",
        "detail": "By telephone.",
        "by": "API token web shop",
    }


def test_nothing_need_be_said_of_it(api: Api) -> None:
    assert api.put(f"suppressions/{ANN}").json()["reason"] == "by_hand"


def test_a_second_time_changes_nothing(api: Api) -> None:
    first = api.put(f"suppressions/{ANN}", {"reason": "bounced", "detail": "First."})
    again = api.put(f"suppressions/{ANN}", {"reason": "bounced", "detail": "Second."})

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()


def test_lifting_what_is_not_suppressed_lifts_none(api: Api) -> None:
    assert api.delete(f"suppressions/{ANN}").json() == {"address": ANN, "lifted": 0}


def test_the_list_comes_page_by_page_newest_first(api: Api) -> None:
    everybody = [f"reader{number}@example.org" for number in range(5)]
    for address in everybody:
        api.put(f"suppressions/{address}")

    first = api.get("suppressions?limit=3").json()
    second = api.get(first["next"]).json()

    told = [one["address"] for one in (*first["suppressions"], *second["suppressions"])]
    assert told == everybody[::-1]
    assert second["next"] is None


@pytest.mark.parametrize("address", ["o%27neill/x@example.org", "a%2Fb@example.org", "ann+news@example.org"])
def test_any_address_fits_into_the_url(api: Api, address: str) -> None:
    assert api.put(f"suppressions/{address}").status_code == 201


@pytest.mark.parametrize("address", ["ann", "%00", "ann@", f"{'x' * 330}@example.org"])
def test_what_is_no_address_is_refused(api: Api, address: str) -> None:
    for answer in (api.put(f"suppressions/{address}"), api.delete(f"suppressions/{address}")):
        assert_problem(answer, 422, "address")
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [({"reason": "mood"}, "reason"), ({"detail": "x" * 1001}, "detail"), ({"why": "?"}, "why"), ([], "body")],
)
def test_a_wrong_field_is_named(api: Api, body: Any, field: str) -> None:
    answer = api.put(f"suppressions/{ANN}", body)

    assert_problem(answer, 422, field)
    assert list(fields(answer)) == [field]


@pytest.mark.django_db(transaction=True)
def test_two_at_once_suppress_it_once(transactional_db: None) -> None:
    token, together, statuses = new_token(), threading.Barrier(3), []

    def call() -> None:
        together.wait()
        statuses.append(Api(token).put(f"suppressions/{ANN}").status_code)
        connection.close()

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 200, 201]
    assert Suppression.objects.count() == 1
