"""Templates in the admin: written, previewed, saved, compared and restored, by whom who may."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from notifications import services
from notifications.tables import Delivery, Notification
from notifications.templating import versions
from notifications.templating.declared import Variable
from notifications.templating.rendering import Sources
from notifications.templating.tables import Template, TemplateVersion

pytestmark = pytest.mark.django_db

LIST, ADD = "/admin/notifications/template/", "/admin/notifications/template/add/"
SOURCES = Sources(subject="Order {{ number }}", text="", html="<p>Hello {{ name }}, {{ number }}.</p>")
ROWS: list[dict[str, Any]] = [
    {"name": "name", "required": "on", "sample": "Ann <b>"},
    {"name": "number", "required": "on", "sample": "17"},
]


def user(*may: str, email: str = "ada@example.org", name: str = "ada") -> Client:
    found = User.objects.create(username=name, is_staff=True, email=email)
    found.user_permissions.add(*Permission.objects.filter(codename__in=may))
    client = Client()
    client.force_login(found)
    return client


@pytest.fixture
def author(db: None) -> Client:
    return user("view_template", "change_template", "add_template")


@pytest.fixture
def order(db: None) -> Template:
    template = Template.objects.create(name="order", description="To whoever has ordered.")
    variables = [Variable(name="name", sample="Ann <b>"), Variable(name="number", sample=17)]
    versions.save(template, SOURCES, variables, after=0)
    return template


def page(template: Template) -> str:
    return f"{LIST}{template.pk}/change/"


def form(verb: str, rows: list[dict[str, Any]] = ROWS, **changes: Any) -> dict[str, Any]:
    data = {"subject": SOURCES.subject, "html": SOURCES.html, "text": "", "description": "To whoever has ordered."}
    for number, row in enumerate(rows):
        data |= {f"variables-{number}-{name}": value for name, value in row.items()}
    counts = {"variables-TOTAL_FORMS": len(rows), "variables-INITIAL_FORMS": len(rows)}
    return {**data, **counts, "after": 1, "verb": verb, **changes}


def said(answer: Any) -> str:
    return str(answer.content.decode())


def test_a_template_is_written_previewed_and_saved(author: Client) -> None:
    new = form("preview", rows=[], name="order", after=0)

    first = said(author.post(ADD, new))
    assert "name, number are new: say below what they are, and give samples." in first
    assert "variables-1-sample" in first
    refused = said(author.post(ADD, new | {"verb": "save"}))
    assert "Nothing is saved yet: there are new variables." in refused
    assert not Template.objects.exists()
    answer = author.post(ADD, form("save", name="order", after=0), follow=True)

    assert "It is saved as order, version 1." in said(answer)
    version = TemplateVersion.objects.get()
    assert (version.html, version.created_by.username if version.created_by else "") == (SOURCES.html, "ada")
    assert [row["sample"] for row in version.variables] == ["Ann <b>", 17]


def test_the_page_previews_on_samples_in_frames_that_can_do_nothing(author: Client, order: Template) -> None:
    shown = said(author.get(page(order)))

    assert "Version 1 is sent" in shown
    assert shown.count('<iframe sandbox referrerpolicy="no-referrer"') == 1
    assert shown.count("sandbox") == 2
    assert "default-src &#x27;none&#x27;" in shown
    assert "&lt;p&gt;Hello Ann &amp;lt;b&amp;gt;, 17.&lt;/p&gt;" in shown
    assert "Hello Ann &lt;b&gt;, 17.\n" in shown
    assert "50 bytes" in shown


def test_a_preview_takes_other_values_and_keeps_what_was_typed(author: Client, order: Template) -> None:
    shown = said(
        author.post(page(order), form("preview", html="<i>{{ name }}{{ number }}</i>", values='{"name": "Ben"}'))
    )

    assert "&lt;i&gt;Ben17&lt;/i&gt;" in shown
    assert "with the samples and what you pasted" in shown
    assert TemplateVersion.objects.count() == 1
    assert "These values are not JSON" in said(author.post(page(order), form("preview", values="{name: Ben}")))
    assert "Values are written as {&quot;name&quot;" in said(author.post(page(order), form("preview", values="[1]")))


def test_a_preview_with_real_values_needs_the_right_to_see_deliveries(order: Template) -> None:
    services.notify("ben@example.org", template="order", context={"name": "Real Ben", "number": 9})
    delivery = Delivery.objects.get()
    may, may_not = user("change_template", "view_delivery"), user("change_template", name="eve")
    asked = form("preview", delivery=str(delivery.pk))

    assert "Hello Real Ben, 9." in said(may.post(page(order), asked))
    refused = said(may_not.post(page(order), asked))
    assert "Real Ben" not in refused
    assert "ben@example.org" not in refused


def test_errors_stand_where_they_belong(author: Client, order: Template) -> None:
    shown = said(author.post(page(order), form("save", html="<p>\n{% include 'x' %}", subject="")))

    assert "The HTML cannot be used: line 2: {% include %} is not allowed: a template reads no other one." in shown
    assert "The subject is empty." in shown
    assert "{% include &#x27;x&#x27; %}" in shown, "what was typed is still there"
    assert TemplateVersion.objects.count() == 1


def test_of_two_authors_the_second_is_told_and_may_save_after_that(author: Client, order: Template) -> None:
    other = user("change_template", name="ben")
    author.post(page(order), form("save", subject="Ada's {{ number }}"))

    told = other.post(page(order), form("save", subject="Ben's {{ number }}"))

    assert "ada has saved version 2 meanwhile. Nothing was overwritten." in said(told)
    assert "Ben&#x27;s {{ number }}" in said(told)
    assert 'name="after" value="2"' in said(told)
    other.post(page(order), form("save", subject="Ben's {{ number }}", after=2))
    assert list(order.versions.order_by("number").values_list("subject", flat=True))[1:] == [
        "Ada's {{ number }}",
        "Ben's {{ number }}",
    ]


def test_what_is_declared_and_not_used_is_told_and_can_be_removed(author: Client, order: Template) -> None:
    html = "<p>{{ number }}</p>"
    answer = author.post(page(order), form("save", html=html), follow=True)
    assert "name is declared and not used." in said(answer)

    rows = [{**ROWS[0], "leave_out": "on"}, ROWS[1]]
    author.post(page(order), form("save", rows=rows, html=html, after=2))

    assert [row["name"] for row in order.versions.get(number=3).variables] == ["number"]


def test_saving_what_is_saved_already_makes_no_version(author: Client, order: Template) -> None:
    assert "Nothing has changed" in said(author.post(page(order), form("save"), follow=True))

    author.post(page(order), form("save", description="Another one"))

    order.refresh_from_db()
    assert (order.description, order.versions.count()) == ("Another one", 1)


def test_a_sample_is_json_or_text(author: Client, order: Template) -> None:
    rows = [{**ROWS[0], "sample": '"17"'}, {**ROWS[1], "sample": '[{"a": 1}, null]'}]

    author.post(page(order), form("save", rows=rows))

    assert [row["sample"] for row in order.versions.get(number=2).variables] == ["17", [{"a": 1}, None]]
    assert "&quot;17&quot;" in said(author.get(page(order)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"variables-TOTAL_FORMS": "x"}, "did not arrive whole"),
        ({"variables-0-name": "a b"}, "cannot be the name of a variable"),
        ({"variables-0-sample": "a\0b"}, "did not arrive whole"),
        ({"variables-0-sample": '"a\\u0000b"'}, "has a NUL"),
        ({"after": "x"}, "Enter a whole number"),
        ({"description": "x" * 501}, "at most 500 characters"),
        ({"html": "\0<p>{{ name }}{{ number }}"}, "Null characters are not allowed"),
    ],
)
def test_a_form_that_was_tampered_with_is_refused(
    changes: dict[str, Any], words: str, author: Client, order: Template
) -> None:
    answer = author.post(page(order), form("save", subject="x {{ number }}") | changes, follow=True)

    assert words in said(answer)
    assert answer.status_code == 200


def test_a_test_goes_to_its_author(author: Client, order: Template) -> None:
    answer = author.post(page(order), form("test", values='{"name": "Ben"}'))

    assert "A test is on its way to ada@example.org" in said(answer)
    sent = Notification.objects.get()
    assert (sent.deliveries.get().address, sent.created_by) == ("ada@example.org", "ada")
    assert sent.context == {"name": "Ben", "number": 17}


def test_a_test_of_what_is_not_saved_or_to_nobody_is_refused(order: Template) -> None:
    nameless = user("change_template", email="", name="nobody")

    assert "You have no e-mail address here" in said(nameless.post(page(order), form("test")))
    assert "Save it first" in said(nameless.post(page(order), form("test", subject="other")))
    assert not Notification.objects.exists()


def test_versions_are_compared_and_restored(author: Client, order: Template) -> None:
    author.post(page(order), form("save", html="<p>Bye {{ name }}, {{ number }}.</p>"))
    old = f"{LIST}{order.pk}/versions/1/"

    shown = said(author.get(old))
    assert "Beside version 2" in shown
    assert '<span class="template-removed">&lt;p&gt;Hello {{ name }}, {{ number }}.&lt;/p&gt;</span>' in shown
    assert '<span class="template-added">&lt;p&gt;Bye {{ name }}, {{ number }}.&lt;/p&gt;</span>' in shown
    answer = author.post(old, {"after": 2}, follow=True)

    assert "Version 3, which is version 1 again." in said(answer)
    assert order.versions.get(number=3).html == SOURCES.html
    assert "somebody" not in said(author.post(old, {"after": 3}, follow=True))
    assert "ada has saved version 4 meanwhile" in said(author.post(old, {"after": 3}, follow=True))


def test_an_absent_version_or_template_leads_back(author: Client, order: Template) -> None:
    assert "There is no version 9 of it." in said(author.get(f"{LIST}{order.pk}/versions/9/", follow=True))
    assert author.get(f"{LIST}999/change/", follow=True).status_code == 200
    assert author.get(f"{LIST}999/versions/1/", follow=True).status_code == 200
    assert author.get(f"{LIST}x%00y/change/", follow=True).status_code == 200
    assert author.get(f"{LIST}{order.pk}/versions/1/?with=99999999999999999999").status_code == 200


def test_who_may_only_look_changes_nothing(order: Template) -> None:
    viewer = user("view_template")

    assert "Save as a new version" not in said(viewer.get(page(order)))
    viewer.post(page(order), form("save", subject="x {{ number }}"))
    viewer.post(page(order), form("test"))
    assert viewer.post(f"{LIST}{order.pk}/versions/1/", {"after": 1}).status_code == 403
    assert viewer.get(ADD).status_code == 403
    assert order.versions.count() == 1
    assert not Notification.objects.exists()


def test_a_stranger_sees_nothing(order: Template) -> None:
    stranger = user()

    for url in (LIST, page(order), ADD, f"{LIST}{order.pk}/versions/1/"):
        assert stranger.get(url).status_code == 403
    assert Client().get(page(order)).status_code == 302


def test_nobody_deletes_a_template(order: Template) -> None:
    User.objects.create_superuser("root", "root@example.org", "x")
    client = Client()
    client.force_login(User.objects.get(username="root"))

    assert (
        client.post(reverse("admin:notifications_template_delete", args=[order.pk]), {"post": "yes"}).status_code == 403
    )
    assert Template.objects.exists()


def test_the_list_tells_how_often_each_is_used(
    author: Client, order: Template, django_assert_max_num_queries: Any
) -> None:
    for number in range(3):
        services.notify("ben@example.org", template="order", context={"name": "Ben", "number": number})
    for number in range(5):
        Template.objects.create(name=f"empty-{number}")

    with django_assert_max_num_queries(12):
        shown = said(author.get(LIST))

    assert "To whoever has ordered." in shown
    assert '<td class="field-in_30_days' in shown or "in_30_days" in shown
    assert "now" in shown
