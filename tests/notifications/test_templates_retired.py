"""A retired template: nobody can call it any more, and nothing that was stored by it is lost."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core import mail
from django.core.management import CommandError, call_command

from notifications import content, services
from notifications.problems import InvalidNotification
from notifications.tables import Notification
from notifications.templating import retiring, versions
from notifications.templating.rendering import Sources
from notifications.templating.tables import Template
from routing import testing
from tests.api_client import Api, assert_problem, fields, new_token
from tests.notifications.test_templates_pages import LIST, page, said, user

pytestmark = pytest.mark.django_db

ANN = "ann@example.org"


@pytest.fixture
def order() -> Template:
    template = Template.objects.create(name="order")
    versions.save(template, Sources(subject="Your order", text="It is on its way.", html=""), [], after=0)
    return template


def templates(*words: str) -> str:
    out = io.StringIO()
    call_command("templates", *words, stdout=out)
    return out.getvalue()


def test_a_call_of_it_is_refused_with_the_cure(order: Template) -> None:
    retiring.retire(order)

    with pytest.raises(InvalidNotification, match=r"'order' was retired on .*; .*manage\.py templates restore order"):
        services.notify(ANN, template="order")

    assert not Notification.objects.exists()


def test_a_restored_one_is_called_again(order: Template) -> None:
    retiring.retire(order)
    retiring.restore(order)

    assert services.notify(ANN, template="order").recipients == 1


def test_what_was_stored_before_is_still_sent_and_shown(order: Template) -> None:
    notification = services.notify(ANN, template="order")
    retiring.retire(order)

    testing.drain()

    assert mail.outbox[0].subject == "Your order"
    assert content.of(notification.deliveries.get()).subject == "Your order"


def test_what_was_asked_for_before_by_its_key_is_still_the_same(order: Template) -> None:
    first = services.notify(ANN, template="order", key="order:7")
    retiring.retire(order)

    assert services.notify(ANN, template="order", key="order:7") == first


@pytest.mark.django_db(transaction=True)
def test_a_mailing_that_was_stopped_goes_on(order: Template) -> None:
    people = [f"n{number}@example.org" for number in range(600)]

    def stop(batch: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        services.notify_many(people, key="orders", template="order", on_batch=stop)
    retiring.retire(order)

    assert services.notify_many(people, key="orders", template="order").recipients == 600


def test_a_file_of_recipients_is_refused_too(order: Template, tmp_path: Path) -> None:
    retiring.retire(order)
    path = tmp_path / "list.csv"
    path.write_text(f"email\n{ANN}\n")

    with pytest.raises(CommandError, match="The template 'order' was retired on"):
        call_command("notify", f"--csv={path}", "--template=order", "--dry-run", stdout=io.StringIO())


def test_a_program_is_told_the_field(order: Template) -> None:
    retiring.retire(order)

    answer = Api(new_token("notifications:send")).post("notifications", {"to": [ANN], "template": "order"})

    assert_problem(answer, 422, "template")
    assert "was retired on" in fields(answer)["template"]


def test_the_command_retires_and_restores_once(order: Template) -> None:
    User.objects.create(username="ada")

    assert "order is retired: calls of it are refused." in templates("retire", "order", "--by", "ada")
    with pytest.raises(CommandError, match="order is retired already"):
        templates("retire", "order")
    assert json.loads(templates("list", "--json"))[0]["retired_at"]
    assert "Retired on" in templates("show", "order")
    assert "version 1 is sent when it is called" in templates("restore", "order", "--by", "ada")
    with pytest.raises(CommandError, match="order is not retired"):
        templates("restore", "order")

    assert json.loads(templates("list", "--json"))[0]["retired_at"] is None
    told = LogEntry.objects.order_by("pk").values_list("user__username", "change_message")
    assert list(told) == [("ada", "Retired."), ("ada", "Restored.")]


@pytest.mark.parametrize("verb", ["retire", "restore"])
def test_a_template_that_is_not_there_is_named(verb: str, order: Template) -> None:
    with pytest.raises(CommandError, match=r"'odrer' is no template\. There are order"):
        templates(verb, "odrer")


def test_retired_ones_are_exported_only_by_name(order: Template, tmp_path: Path) -> None:
    retiring.retire(order)

    assert "There are no templates to write." in templates("export", str(tmp_path))
    assert "1 written." in templates("export", str(tmp_path), "order")


def test_the_page_retires_and_restores_it(order: Template) -> None:
    author = user("view_template", "change_template")

    text = said(author.post(page(order), {"verb": "retire"}, follow=True))
    assert "It is retired: calls of it are refused." in text
    assert "Retire: refuse calls of it" not in text
    assert "1, " in (text := said(author.get(LIST)))
    assert ", retired" in text
    text = said(author.post(page(order), {"verb": "restore"}, follow=True))

    assert "It is restored: it can be called again." in text
    assert "Retire: refuse calls of it" in text
    order.refresh_from_db()
    assert order.retired_at is None


def test_who_may_only_look_cannot_retire_it(order: Template) -> None:
    answer = user("view_template").post(page(order), {"verb": "retire"})

    assert "Retire: refuse calls of it" not in said(answer)
    order.refresh_from_db()
    assert order.retired_at is None
