"""Each group sees and does what it is for: payloads masked, secrets revealed and written down, domains kept apart."""

import importlib
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.urls import reverse

from routing import sensitive
from routing.console import groups, rights
from routing.console.page_parts import message_url, result_url
from routing.ledger.tables import DeadLetter, Message
from routing.masking import MASK
from tests.console import specimens
from tests.sensitive import tasks as typed_tasks
from tests.sensitive.evidence import CARD

tasks: Any = typed_tasks

pytestmark = pytest.mark.django_db

ORDER = "order-4711"
HIDDEN = "You may not see arguments and results."
RESULTS = reverse("admin:django_celery_results_taskresult_changelist")
MESSAGES = reverse("admin:routing_message_changelist")


@pytest.fixture(autouse=True)
def all_groups() -> None:
    """As ``migrate`` makes them."""
    importlib.import_module("routing.migrations.0015_groups").make(apps, connection.schema_editor())
    last = [each for each in apps.get_app_configs() if each.models_module is not None][-1]
    groups.give(last, using="default")


def signed_in(client: Client, group: str, *domains: str) -> Client:
    user = User.objects.create(username=f"{group} {' '.join(domains)}", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    user.user_permissions.set(Permission.objects.filter(codename__in=map(rights.codename, domains)))
    client.force_login(user)
    return client


def body(client: Client, url: str, **query: str) -> str:
    answer = client.get(url, query)
    assert answer.status_code == 200
    return answer.content.decode()


def charged() -> Any:
    """A result, a task in flight and a dead letter of a task with a secret argument."""
    args, kwargs = tasks.charge.secret.sealed([ORDER], {"card": CARD})
    row = specimens.result("reporting.charge", queue="reporting", kwargs=kwargs, outcome={"order": ORDER})
    tasks.charge.delay(ORDER, card=CARD)
    message = Message.objects.get()
    letter = DeadLetter.objects.create(
        task_id="7",
        task="reporting.charge",
        domain="reporting",
        queue="reporting",
        headers=message.headers,
        body=message.body,
        reason="failed",
        error="ValueError: no",
    )
    assert args
    return [
        result_url(row.pk),
        message_url(message.pk),
        reverse("admin:routing_deadletter_change", args=[letter.pk]),
    ]


def test_migrate_gives_each_group_what_it_is_for_and_does_not_meddle_later() -> None:
    def may(group: str) -> set[str]:
        found = Group.objects.get(name=group).permissions.values_list("content_type__app_label", "codename")
        return {f"{app}.{name}" for app, name in found}

    assert "routing.view_message" in may("viewer")
    assert not {each for each in may("viewer") if ".view_" not in each} | {"routing.view_payload"} & may("viewer")
    assert {"routing.view_payload", "routing.change_deadletter", "notifications.change_delivery"} <= may("operator")
    assert not {"routing.reveal_secret", "routing.change_apitoken", "auth.change_user"} & may("operator")
    assert {"routing.reveal_secret", "routing.add_apitoken", "auth.change_user", "admin.view_logentry"} <= may("admin")
    assert not any(each.startswith("routing.domain_") for each in may("admin"))

    viewers = Group.objects.get(name="viewer")
    viewers.permissions.set(Permission.objects.filter(codename="view_taskresult"))
    last = [each for each in apps.get_app_configs() if each.models_module is not None][-1]
    groups.give(last, using="default")
    assert may("viewer") == {"django_celery_results.view_taskresult"}


def test_a_viewer_sees_tasks_and_not_what_they_were_called_with(client: Client) -> None:
    pages = charged()
    viewer = signed_in(client, "viewer")

    for url in pages:
        page = body(viewer, url)
        assert HIDDEN in page
        assert ORDER not in page
        assert "Reveal" not in page
        assert viewer.post(url, {"reveal": "1"}).status_code == 403
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("words", ["args.order:x", "order-4711", "state:success args.card:1"])
@pytest.mark.parametrize("url", [RESULTS, MESSAGES])
def test_a_viewer_cannot_find_out_by_searching_either(client: Client, url: str, words: str) -> None:
    charged()
    viewer = signed_in(client, "viewer")

    page = body(viewer, url, q=words)

    assert "It looks into arguments, which you may not see." in page
    assert "reporting.charge<" not in page
    assert "reporting.charge<" in body(viewer, url, q="task:reporting.charge")


def test_an_operator_sees_arguments_but_for_the_secret_ones(client: Client) -> None:
    pages = charged()
    operator = signed_in(client, "operator")

    for url in pages:
        page = body(operator, url)
        assert ORDER in page
        assert MASK in page
        assert CARD not in page
        assert "taskyard_sealed" not in page
        assert "Reveal" not in page
        assert operator.post(url, {"reveal": "1"}).status_code == 403
    assert "Replay" in body(operator, pages[2])


def test_an_admin_reveals_a_secret_and_that_is_written_down_first(client: Client) -> None:
    pages = charged()
    admin = signed_in(client, "admin")

    for url in pages:
        assert CARD not in body(admin, url)
        assert "Reveal card" in body(admin, url)
        answer = admin.post(url, {"reveal": "1"})
        assert CARD in answer.content.decode()
        assert "no-store" in answer["Cache-Control"]

    entries = LogEntry.objects.all()
    assert [entry.get_change_message() for entry in entries] == ["Revealed card of reporting.charge."] * 3
    assert {entry.content_type.model for entry in entries if entry.content_type} == {
        "taskresult",
        "message",
        "deadletter",
    }
    assert all(entry.user.username == "admin " for entry in entries)


def test_what_nobody_has_the_key_for_is_told_and_not_an_error(client: Client, settings: Any) -> None:
    url = charged()[0]
    admin = signed_in(client, "admin")
    settings.SECRET_KEY_FALLBACKS = []
    sensitive_url, settings.SECRET_KEY = url, "another one"
    # The session was signed with the key of before.
    admin.force_login(User.objects.get(username="admin "))

    page = admin.post(sensitive_url, {"reveal": "1"}).content.decode()

    assert "Put that one into SECRET_KEY_FALLBACKS" in page


class TestLimitedToADomain:
    @pytest.fixture
    def operator(self, client: Client) -> Client:
        return signed_in(client, "operator", "notifications")

    @pytest.fixture
    def theirs(self) -> Any:
        return specimens.result("notifications.send_email")

    @pytest.fixture
    def other(self) -> Any:
        return specimens.result("reporting.weekly", queue="reporting", enqueued=timedelta(minutes=2))

    def test_the_list_of_results_and_its_pages_are_theirs(self, operator: Client, theirs: Any, other: Any) -> None:
        for query in ({}, {"q": "since:2d"}, {"domain": "reporting"}, {"q": other.task_id}):
            page = body(operator, RESULTS, **query)
            assert result_url(other.pk) not in page
        assert result_url(theirs.pk) in body(operator, RESULTS)
        assert operator.get(result_url(theirs.pk)).status_code == 200
        assert operator.get(result_url(other.pk)).status_code == 302, "as one that does not exist"

    def test_tasks_in_flight_and_dead_letters_are_theirs(self, operator: Client) -> None:
        pages = charged()

        assert "reporting.charge<" not in body(operator, MESSAGES)
        assert "reporting.charge<" not in body(operator, RESULTS, q="task:reporting.charge")
        assert [operator.get(url).status_code for url in pages] == [302] * 3

    def test_they_cannot_decide_about_others(self, operator: Client) -> None:
        charged()
        letter = DeadLetter.objects.get()

        url = reverse("admin:routing_deadletter_changelist")
        operator.post(url, {"action": "discard_selected", "_selected_action": letter.pk, "confirmed": "1"})

        letter.refresh_from_db()
        assert letter.state == DeadLetter.State.OPEN

    def test_pages_of_other_domains_apps_are_closed(self, operator: Client) -> None:
        assert operator.get(reverse("admin:notifications_delivery_changelist")).status_code == 200
        assert operator.get(reverse("admin:reporting_reportrun_changelist")).status_code == 403

    def test_the_start_page_tells_of_theirs(self, operator: Client) -> None:
        page = operator.get(reverse("admin:index"))

        assert [one.domain.name for one in page.context["overview"].domains] == ["notifications"]

    def test_relatives_of_other_domains_keep_their_names_to_themselves(self, operator: Client, other: Any) -> None:
        theirs = specimens.result("notifications.send_email", meta={"root_id": other.task_id})

        page = body(operator, result_url(theirs.pk))

        assert other.task_id in page
        assert "reporting.weekly" not in page


def test_nobody_is_limited_without_such_a_permission_nor_is_a_superuser() -> None:
    user = User.objects.create(username="anybody")
    root = User.objects.create(username="root", is_superuser=True)

    assert rights.domains_of(user) is None
    assert rights.domains_of(root) is None
    assert rights.covers_task(user, "reporting.weekly")


def test_a_sealed_value_is_known_by_its_form_alone() -> None:
    assert not sensitive.is_sealed({"taskyard_sealed": 1})
    assert not sensitive.is_sealed({"taskyard_sealed": "x", "other": 1})


CAUSES, JOBS, POOLS = (
    reverse(name) for name in ("admin:routing_deadletter_causes", "admin:routing_job_changelist", "console:pools")
)


@pytest.mark.parametrize("url", [CAUSES, JOBS, POOLS])
def test_what_tells_of_all_domains_is_closed_to_who_is_limited_to_one(client: Client, url: str) -> None:
    assert signed_in(client, "operator").get(url).status_code == 200
    limited = signed_in(client, "operator", "notifications")

    assert limited.get(url).status_code == 403
    # In the sidebar of any page, and above the list of dead letters.
    assert f'href="{url}"' not in body(limited, RESULTS)
    assert f'href="{url}"' not in body(limited, reverse("admin:routing_deadletter_changelist"))


def test_the_list_of_dead_letters_leads_to_their_causes(client: Client) -> None:
    page = body(signed_in(client, "operator"), reverse("admin:routing_deadletter_changelist"))

    # In the sidebar, and above the list.
    assert page.count(f'href="{CAUSES}"') == 2


def test_who_is_limited_neither_pauses_nor_edits_what_is_anothers(client: Client) -> None:
    *_, letter_url = charged()
    edit = f"{letter_url.removesuffix('change/')}edit/"
    pause = reverse("console:pause", args=["reporting"])
    assert signed_in(client, "operator").get(edit).status_code == 200
    assert client.get(pause).status_code == 200
    limited = signed_in(client, "operator", "notifications")

    assert limited.get(edit).status_code == 404
    assert limited.post(pause, {"reason": "no"}).status_code == 403


def test_an_edit_keeps_secret_arguments_sealed(client: Client) -> None:
    *_, letter_url = charged()
    page = body(signed_in(client, "operator"), f"{letter_url.removesuffix('change/')}edit/")

    assert ORDER in page
    assert CARD not in page
    assert MASK not in page
    assert "taskyard_sealed" in page


@pytest.mark.parametrize(("group", "sees"), [("viewer", False), ("operator", True), ("admin", True)])
@pytest.mark.parametrize("form", ["csv", "json"])
def test_an_export_has_what_its_reader_may_see_and_secrets_for_nobody(
    client: Client, group: str, sees: bool, form: str
) -> None:
    charged()
    url = reverse("admin:routing_results_all", args=["export"])

    answer: Any = signed_in(client, group).post(url, {"confirmed": "1", "format": form})
    exported = b"".join(answer.streaming_content).decode()

    assert "reporting.charge" in exported
    assert (ORDER in exported) is sees
    assert CARD not in exported
    assert "taskyard_sealed" not in exported


def test_an_export_of_all_holds_no_other_domains_rows(client: Client) -> None:
    charged()
    specimens.result("notifications.deliver", queue="notifications")
    limited = signed_in(client, "operator", "notifications")

    for view in ("admin:routing_results_all", "admin:routing_message_all"):
        answer: Any = limited.post(reverse(view, args=["export"]), {"confirmed": "1", "format": "json"})
        exported = b"".join(answer.streaming_content).decode()
        assert "reporting" not in exported
