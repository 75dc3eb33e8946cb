"""Versions of templates: what is not saved and why, two who save at once, and what a call must give."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from notifications import content, services
from notifications.delivering import Refused, deliver
from notifications.problems import InvalidNotification
from notifications.tables import Delivery, Notification
from notifications.templating import versions
from notifications.templating.declared import Undeclarable, Variable, read
from notifications.templating.rendering import Sources
from notifications.templating.tables import Template, TemplateVersion
from notifications.templating.versions import InvalidTemplate, Outdated
from tests.notifications.mail_server import MailServer, mail_server

__all__ = ["mail_server"]

pytestmark = pytest.mark.django_db
ANN, BEN = "ann@example.org", "ben@example.org"
ORDER = Sources(subject="Order {{ number }}", text="Hello {{ name }}, {{ number }} is on its way.\n", html="")
NUMBER, NAME = Variable(name="number", sample=17), Variable(name="name", required=False, sample="Ann")


def saved(
    sources: Sources = ORDER, variables: tuple[Variable, ...] = (NUMBER, NAME), *, name: str = "order", after: int = 0
) -> TemplateVersion:
    template, _ = Template.objects.get_or_create(name=name)
    return versions.save(template, sources, variables, after=after)


def refused(sources: Sources, *variables: Variable) -> str:
    with pytest.raises(InvalidTemplate) as told:
        saved(sources, variables)
    assert not TemplateVersion.objects.exists()
    return str(told.value)


def text(source: str) -> Sources:
    return Sources(subject="s", text=source, html="")


def test_the_newest_version_is_sent_and_an_old_notification_keeps_its_own() -> None:
    saved()
    old = services.notify(ANN, template="order", context={"number": 1})
    saved(text("New: {{ number }}"), (NUMBER,), after=1)
    new = services.notify(ANN, template="order", context={"number": 2})

    assert content.of(new.deliveries.get()).text == "New: 2"
    assert content.of(old.deliveries.get()).text == "Hello , 1 is on its way.\n"


def test_a_version_neither_changes_nor_goes() -> None:
    version = saved()
    version.subject = "Other"

    for change in (
        version.save,
        version.delete,
        lambda: TemplateVersion.objects.update(subject="x"),
        lambda: TemplateVersion.objects.filter(pk=version.pk).delete(),
        lambda: TemplateVersion.objects.bulk_update([version], ["subject"]),
        lambda: version.template.versions.update(subject="x"),
    ):
        with pytest.raises(TypeError, match="never changes"):
            change()

    assert TemplateVersion.objects.get().subject == "Order {{ number }}"


def test_of_two_who_save_at_once_the_second_is_told_and_nothing_is_overwritten() -> None:
    template = saved().template
    ada = User.objects.create(username="ada")
    versions.save(template, text("Ada's"), [], after=1, by=ada)

    with pytest.raises(Outdated, match=r"ada has saved version 2 meanwhile\. Nothing was overwritten\."):
        versions.save(template, text("Ben's"), [], after=1)

    assert [row.text for row in template.versions.order_by("number")][1:] == ["Ada's"]
    assert versions.save(template, text("Ben's"), [], after=2).number == 3


@pytest.mark.django_db(transaction=True)
def test_of_many_who_save_in_the_same_moment_one_wins() -> None:
    template = saved().template
    begin = Barrier(4)

    def save(number: int) -> str:
        begin.wait()
        try:
            return str(versions.save(template, text(f"Mine: {number}"), [], after=1).number)
        except Outdated:
            return "told"
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(save, range(4)))

    assert outcomes == ["2", "told", "told", "told"]
    assert template.versions.count() == 2


def test_a_restored_version_is_a_new_one_that_says_the_same() -> None:
    first = saved()
    saved(text("Wrong"), (), after=1)

    made = versions.restore(first, after=2)

    assert made.number == 3
    assert (made.subject, made.text, made.variables) == (first.subject, first.text, first.variables)
    with pytest.raises(Outdated):
        versions.restore(first, after=2)


@pytest.mark.parametrize(
    ("sources", "variables", "words"),
    [
        (Sources(subject=" ", text="t", html=""), (), "subject is empty."),
        (Sources(subject="s", text=" ", html=""), (), "html is empty, and so is text"),
        (text("{{ x }}"), (), "variables do not have x, which the template uses"),
        (text("{{ x }}"), (Variable(name="x"),), "variables have no sample of x; the preview needs it."),
        (text("{% now 'Y' %}"), (), "text cannot be used: line 1: {% now %} is not allowed"),
        (Sources(subject="{{ x", text="t", html=""), (), "subject cannot be used: line 1: {{ without }}"),
        (Sources(subject="s", text="", html="<p>\n{% foo %}"), (), "html cannot be used: line 2: {% foo %}"),
        (Sources(subject="s", text="", html="<a href={{ x }}>"), (), "html cannot be used: line 1: {{ x }} is the"),
        (Sources(subject="s", text="", html='<a href="JavaScript:x()">'), (), "html has a link to"),
        (Sources(subject="s" * 251, text="t", html=""), (), "subject is longer than 250 characters"),
        (
            Sources(subject="s", text="t" * 300_000, html=""),
            (),
            "is longer, together with subject and text, than 300,000",
        ),
        (
            Sources(subject="{{ x }}", text="t", html=""),
            (Variable(name="x", required=False, sample="a"),),
            "subject is empty, where only what is required is given.",
        ),
        (
            text('{{ x|date:"Y" }}'),
            (Variable(name="x", sample="soon"),),
            "text cannot be filled in: date needs a date or time",
        ),
        (
            text("{% for a in x %}{% endfor %}"),
            (Variable(name="x", sample=5),),
            "TypeError: 'int' object is not iterable",
        ),
        (
            text("{{ x|divisibleby:2 }}"),
            (Variable(name="x", sample=5, secret=True),),
            "where it is shown with its secret values masked.",
        ),
        (Sources(subject="s", text="", html="<style>p { }</style>\ud800"), (), "html has a NUL or half of a surrogate"),
        (Sources(subject="s", text="\ud800", html=""), (), "text has a NUL or half of a surrogate pair"),
    ],
)
def test_what_nobody_could_send_is_not_saved(sources: Sources, variables: tuple[Variable, ...], words: str) -> None:
    assert words in refused(sources, *variables)


def test_links_of_consent_need_no_declaration() -> None:
    sources = Sources(subject="s", text="", html='<a href="{{ unsubscribe_url }}">No more</a>{{ preferences_url }}')

    assert saved(sources, ()).number == 1


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({}, "variables must be a list"),
        (["x"], "declares no variable"),
        ([{"name": "a b"}], "'a b' cannot be the name of a variable"),
        ([{"name": "a"}, {"name": "a"}], "a is declared twice"),
        ([{"name": "a", "requird": True}], "a has requird, which mean nothing; there are name, required"),
        ([{"name": "a", "secret": "yes"}], "secret of a must be true or false"),
        ([{"name": "a", "sample": "\0"}], "a has a NUL"),
        ([{"name": "a", "sample": float("nan")}], "a has a NUL, half of a surrogate pair or a NaN"),
    ],
)
def test_a_declaration_that_is_none_tells_the_cure(rows: Any, words: str) -> None:
    with pytest.raises(Undeclarable, match=words.replace("(", r"\(")):
        read(rows)


@pytest.mark.parametrize(
    ("to", "context", "words"),
    [
        (ANN, {}, r"to\.0 cannot be written to: the template needs number\."),
        ([{"email": ANN, "number": 1}, {"email": BEN}], {}, r"to\.1 cannot be written to: the template needs number\."),
        (ANN, {"number": "9" * 260}, "subject is longer than 250 characters"),
        ({"email": ANN, "number": "9" * 260}, {}, r"to\.0 cannot be written to: subject is longer than 250 characters"),
    ],
)
def test_a_call_without_what_the_template_needs_stores_nothing(to: Any, context: dict[str, Any], words: str) -> None:
    saved()

    with pytest.raises(InvalidNotification, match=words):
        services.notify(to, template="order", context=context)

    assert not Notification.objects.exists()


def test_a_value_that_does_not_fit_is_told_at_the_call_and_not_quoted() -> None:
    due = Variable(name="due", sample="2026-11-27", secret=True)
    saved(text('Due {{ due|date:"j F" }}'), (due,))

    with pytest.raises(InvalidNotification) as told:
        services.notify(ANN, template="order", context={"due": "hush-hush"})

    assert "context does not fit the template: The text cannot be filled in: date needs a date" in str(told.value)
    assert "hush" not in str(told.value)


def test_what_only_shows_on_the_way_fails_that_delivery_and_no_other(mail_server: MailServer) -> None:
    saved()
    sent = services.notify([{"email": ANN, "number": 1}, {"email": BEN, "number": "9" * 260}], template="order")
    good, bad = sent.deliveries.order_by("position")

    assert run(good)["state"] == "sent"
    with pytest.raises(Refused, match=r"ben@example\.org: subject is longer than 250 characters"):
        run(bad)

    bad.refresh_from_db()
    assert (bad.state, bad.reason) == (Delivery.State.FAILED, "cannot_be_made")
    assert [one.message["Subject"] for one in mail_server.deliveries] == ["Order 1"]


def test_looking_for_what_is_missing_fills_in_one_of_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    saved()
    filled: list[Any] = []
    usual: Callable[..., Any] = content.filled_in

    def counted(*given: Any, **named: Any) -> Any:
        filled.append(given)
        return usual(*given, **named)

    monkeypatch.setattr(content, "filled_in", counted)

    services.notify(({"email": f"a{n}@example.org", "number": n} for n in range(1001)), template="order")

    assert len(filled) == 3


def run(delivery: Delivery) -> dict[str, Any]:
    return deliver(str(delivery.notification_id), delivery.position, task_id=delivery.task_id)
