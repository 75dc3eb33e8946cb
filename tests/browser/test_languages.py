"""Pages and reports in French as people see them, whose words are longer: on a desk and on a telephone."""

import os
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import translation
from django_celery_results.models import TaskResult
from playwright.sync_api import Page, expect

import notifications.tasks  # noqa: F401  (registers them)
from notifications import services
from notifications.chat import targets
from notifications.chat.tables import ChatTarget
from notifications.given import Recipient
from notifications.inbox import reading
from notifications.inbox.tables import InAppMessage
from notifications.templating import versions
from notifications.templating.declared import Variable
from notifications.templating.rendering import Sources
from notifications.templating.tables import Template
from notifications.webhooks import endpoints
from notifications.webhooks.tables import Endpoint
from reporting import links, reports
from reporting.models import ReportEdition, ReportRun, Subscription
from reporting.runs import ordering
from tests import inline
from tests.browser.conftest import PASSWORD, OpenPage
from tests.browser.test_console import LOOKS, assert_nothing_sticks_out
from tests.browser.test_reports import RUNS, SUBSCRIPTIONS, picture, public
from tests.console import specimens
from tests.notifications.consenting import path
from tests.notifications.test_inbox_pages import told
from tests.reporting import full_week
from tests.reporting.subscribers import subscribe

pytestmark = [
    pytest.mark.any_database,
    pytest.mark.browser,
    pytest.mark.broker,
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def lundi(settings: Any, tmp_path: Path) -> ReportRun:
    """The report of a full week has been sent to somebody who reads French."""
    settings.MEDIA_ROOT = tmp_path / "files"
    full_week.happen(results=60)
    subscribe("anne.exemple@example.org", name="Anne Exemple", language="fr", attached="csv,pdf,xlsx")
    subscribe("anne.exemple@example.org", report="broken-now", hour=7, paused_at=full_week.AFTER)
    ordering.send_now(reports.named("weekly"), full_week.WEEK, now=full_week.AFTER)
    with inline.worker():
        inline.drain()
    return ReportRun.objects.get(period=str(full_week.WEEK))


@pytest.fixture
def order(transactional_db: None) -> Template:
    template = Template.objects.create(name="order-placed", description="À qui a commandé.")
    english = Sources(subject="Your order {{ order }}", text="", html="<p>Thank you for {{ order }}.</p>")
    french = Sources(subject="Votre commande {{ order }}", text="", html="<p>Merci pour {{ order }}.</p>")
    versions.save(template, english, [Variable(name="order", sample="A-17")], after=0, translations={"fr": french})
    return template


def written_to(user: User) -> None:
    """By all other channels: chat, webhook and the inbox, of which one message is long."""
    targets.add("astreinte", "slack://TK1ABCDEF/BK1ABCDEF/abcdefghijklmnopqrstuvwx/#incidents", by="ada")
    endpoints.add("commandes", "https://example.org/hooks/commandes", by="ada")
    told(user, 2, subject="Votre export est prêt", text="Il vous attend : https://example.org/exports/7\n" * 9)
    reading.mark_read(user, ids=[InAppMessage.objects.earliest("pk").pk])


def sign_in(page: Page) -> None:
    page.goto(f"/admin/login/?next={SUBSCRIPTIONS}")
    page.locator("input[name=username]").fill("ada")
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("form button[type=submit]").first.click()
    expect(page.locator("#changelist")).to_be_visible()


@pytest.mark.parametrize(("width", "dark"), LOOKS if "LOOK" in os.environ else [(1280, False), (360, True)])
def test_every_french_page_fits_its_window(
    open_page: OpenPage, administrator: User, lundi: ReportRun, order: Template, width: int, dark: bool
) -> None:
    page, look = open_page(width=width, dark=dark, language="fr-FR"), f"fr-{width}-{'dark' if dark else 'light'}"
    draft = {"template": "order-placed", "context": {"order": "A-18"}, "category": "news"}
    delivery = services.notify(Recipient("anne.exemple@example.org", language="fr"), **draft).deliveries.get()
    written_to(administrator)
    letter = specimens.dead_letter(specimens.a_busy_day()["refused"])
    result = TaskResult.objects.get(task_id=letter.task_id)
    sign_in(page)
    anne = Subscription.objects.get(report="weekly")

    pages = {
        "start": "/admin/",
        "pools": reverse("console:pools"),
        "subscriptions": SUBSCRIPTIONS,
        "add": f"{SUBSCRIPTIONS}add/",
        "run": f"{RUNS}{lundi.pk}/change/",
        "template": f"/admin/notifications/template/{order.pk}/change/?language=fr",
        "deliveries": "/admin/notifications/delivery/",
        "delivery": f"/admin/notifications/delivery/{delivery.pk}/change/",
        "results": "/admin/django_celery_results/taskresult/",
        "result": f"/admin/django_celery_results/taskresult/{result.pk}/change/",
        "letters": "/admin/routing/deadletter/",
        "letter": f"/admin/routing/deadletter/{letter.pk}/change/",
        "causes": "/admin/routing/deadletter/causes/",
        "schedule": "/admin/routing/scheduleentry/",
        "notifications": "/admin/notifications/notification/",
        "templates": "/admin/notifications/template/",
        "chat": "/admin/notifications/chattarget/",
        "add-chat": "/admin/notifications/chattarget/add/",
        "chat-target": f"/admin/notifications/chattarget/{ChatTarget.objects.get().pk}/change/",
        "webhooks": "/admin/notifications/endpoint/",
        "webhook": f"/admin/notifications/endpoint/{Endpoint.objects.get().pk}/change/",
        "inbox": reverse("inbox:messages"),
        "message": reverse("inbox:message", args=[InAppMessage.objects.latest("pk").pk]),
        "mine": public(links.subscriptions_url(anne.pk)),
        "web": public(links.page_url(ReportEdition.objects.get(language="fr").pk)),
        "unsubscribe": path("unsubscribe"),
        "preferences": path("preferences"),
    }
    for name, url in pages.items():
        page.goto(url)
        page.wait_for_load_state("networkidle")
        assert page.locator("html").get_attribute("lang") == "fr", name
        assert_nothing_sticks_out(page)
        picture(page, f"{look}-{name}")
    # What a page speaks stays with the thread that served it.
    assert translation.get_language() == "en"
