"""A template of values that each recipient brings: judged by what somebody reads, not by the common values alone."""

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from notifications import content, services
from notifications.problems import InvalidNotification
from notifications.tables import Delivery, Notification
from notifications.templating.tables import Template, TemplateVersion
from routing.ledger.tables import Message
from tests.api_client import Api, assert_problem, fields, new_token

pytestmark = pytest.mark.django_db

ANN, BEN = "ann@example.org", "ben@example.org"
BEN_WITH_VALUES = {"email": BEN, "title": "Hello", "name": "Ben"}


@pytest.fixture(autouse=True)
def greeting() -> None:
    """Without their values it has neither subject nor text; none of them is required."""
    variables = [{"name": "title", "required": False}, {"name": "name", "required": False}]
    said = {"subject": "{{ title }}", "text": "{{ name }}", "variables": variables}
    TemplateVersion.objects.create(template=Template.objects.create(name="greeting"), number=1, **said)


def read() -> list[tuple[str, str, str]]:
    """What each recipient reads."""
    rows = Delivery.objects.select_related("notification__template").order_by("position")
    return [(row.address, content.of(row).subject, content.of(row).text) for row in rows]


def test_recipients_bring_all_of_it() -> None:
    services.notify([BEN_WITH_VALUES], template="greeting")

    assert read() == [(BEN, "Hello", "Ben")]


def test_a_common_value_that_makes_nothing_is_replaced_by_their_own() -> None:
    services.notify([BEN_WITH_VALUES], template="greeting", context={"title": "", "name": ""})

    assert read() == [(BEN, "Hello", "Ben")]


@pytest.mark.parametrize("to", [ANN, [ANN, BEN], [{"email": ANN}]])
def test_where_nobody_brings_any_the_call_is_refused(to: Any) -> None:
    with pytest.raises(InvalidNotification, match=r"^subject is empty"):
        services.notify(to, template="greeting")

    assert not Notification.objects.exists()


def test_who_brings_none_among_others_who_do_is_named() -> None:
    with pytest.raises(InvalidNotification, match=r"to\.0 cannot be written to: subject is empty"):
        services.notify([ANN, BEN_WITH_VALUES], template="greeting")

    assert not Message.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_who_brings_none_is_left_out_and_the_others_are_written_to() -> None:
    services.notify_many([ANN, BEN_WITH_VALUES], key="greeting:1", template="greeting")

    assert read() == [(BEN, "Hello", "Ben")]
    rejection = Notification.objects.get().rejections.get()
    assert (rejection.position, rejection.address) == (0, ANN)
    assert "subject is empty" in rejection.reason


@pytest.mark.django_db(transaction=True)
def test_of_many_where_nobody_brings_any_nothing_is_stored() -> None:
    with pytest.raises(InvalidNotification, match=r"^subject is empty"):
        services.notify_many(iter([ANN, BEN]), key="greeting:1", template="greeting")

    assert not Notification.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_columns_of_a_file_are_values_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"email,title,name\n{BEN},Hello,Ben\n")

    call_command("notify", f"--csv={path}", "--template=greeting", stdout=io.StringIO())

    assert read() == [(BEN, "Hello", "Ben")]


def test_a_program_gives_each_their_own() -> None:
    to = [{"to": BEN, "context": {"title": "Hello", "name": "Ben"}}]
    answer = Api(new_token("notifications:send")).post("notifications", {"to": to, "template": "greeting"})

    assert answer.status_code == 202
    assert read() == [(BEN, "Hello", "Ben")]


def test_a_program_that_gives_none_is_told_the_field() -> None:
    answer = Api(new_token("notifications:send")).post("notifications", {"to": [BEN], "template": "greeting"})

    assert_problem(answer, 422, "subject")
    assert "is empty" in fields(answer)["subject"]
