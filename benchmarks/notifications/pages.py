"""The admin's pages of deliveries, and what the HTTP API tells of them: how long each takes, however many there are."""

import time
from datetime import timedelta
from urllib.parse import urlencode

from django.test import Client
from django.utils import timezone

from benchmarks.console import timing
from benchmarks.notifications import rows as deliveries
from benchmarks.relay.sheet import Sheet, percentile
from notifications.api_scopes import READ, SUPPRESSIONS_READ
from notifications.consent.tables import Suppression
from notifications.tables import Delivery, Notification
from routing.console.places import Moment
from routing.console.tokens import ApiToken
from routing.ledger import database

LIMIT_MS = 300
ADMIN, API = "/admin/notifications", "/api/v1"
LIST = f"{ADMIN}/delivery/"


def measure(*, rows: int, rounds: int) -> bool:
    """False if a page took longer than it may."""
    sheet, began = Sheet(), time.monotonic()
    deliveries.make(rows)
    (size,) = database.rows("SELECT pg_total_relation_size('notifications_delivery') AS bytes")
    sheet.say(f"{rows:,} deliveries, {size['bytes'] / 1e9:.1f} GB, made in {time.monotonic() - began:.0f} s")
    taken = timing.milliseconds(timing.signed_in(), _pages(), rounds=rounds)
    taken |= timing.milliseconds(_program(), _answers(), rounds=rounds)
    sheet.say(f"\n{'':44} {'p50':>10} {'p95':>10}   ms")
    for name, times in taken.items():
        sheet.say(f"  {name:42} {percentile(times, 50):10.0f} {percentile(times, 95):10.0f}")
    p95 = {name: round(percentile(times, 95), 1) for name, times in taken.items()}
    for name, value in {"rows": rows, "rounds": rounds, "p95_ms": p95, "worst_p95_ms": max(p95.values())}.items():
        sheet.note(name, value)
    if slow := [name for name, milliseconds in p95.items() if milliseconds > LIMIT_MS]:
        sheet.say(f"\n  Longer than {LIMIT_MS} ms (p95): {', '.join(slow)}")
    sheet.as_json()
    return not slow


def _pages() -> dict[str, str]:
    long_ago = timezone.now() - timedelta(days=40)
    large, newest = _large(), Delivery.objects.order_by("-pk")[0]
    old = Delivery.objects.order_by("pk")[4_000]
    person = f"r{deliveries.SUPPRESSED}@example.org"
    of_large = f"{LIST}?notification={large.pk}"
    late = max(Suppression.objects.count() // 50 - 1, 1)
    choices = {"suppressions": "suppression", "choices of recipients": "preference", "bounces": "feedback"}
    return {
        "notifications": f"{ADMIN}/notification/",
        "notifications, 40 days back": f"{ADMIN}/notification/?before={Moment(long_ago, large.pk)}",
        "notifications of a category": f"{ADMIN}/notification/?category=news",
        "a notification, by its key": f"{ADMIN}/notification/?{urlencode({'q': large.key})}",
        f"one of {large.recipients:,} deliveries": f"{ADMIN}/notification/{large.pk}/change/",
        "its deliveries": of_large,
        "its deliveries, far behind": f"{of_large}&before={large.recipients // 2}",
        "its deliveries, sent": f"{of_large}&state=sent",
        "its deliveries, failed": f"{of_large}&state=failed",
        "its deliveries, undecided": f"{of_large}&state=undecided",
        "deliveries": LIST,
        "deliveries, 40 days back": f"{LIST}?before={newest.pk // 3}",
        **{f"deliveries, {state}": f"{LIST}?state={state}" for state in (*Delivery.State.values, "undecided")},
        **{f"deliveries, {name}": f"{LIST}?{name}={value}" for name, value in _NARROWED.items()},
        "deliveries of a day": f"{LIST}?day={long_ago:%Y-%m-%d}",
        "did she get it?": _search(person),
        "did the busiest get it?": _search(deliveries.BUSY),
        "did nobody get it?": _search("nobody@example.org"),
        "what failed for the busiest": f"{_search(deliveries.BUSY)}&state=failed",
        "by Message-ID": _search(f"<{old.notification_id.hex}.{old.position}@example.org>"),
        "by number": _search(str(old.pk)),
        "by key": _search(str(large.key)),
        "by the id of a task": _search(old.task_id),
        "a delivery": f"{LIST}{newest.pk}/change/",
        **{name: f"{ADMIN}/{model}/" for name, model in choices.items()},
        **{f"{name}, of an address": f"{ADMIN}/{model}/?q={person}" for name, model in choices.items()},
        **{f"{name}, of a part of one": f"{ADMIN}/{model}/?q=r4242" for name, model in choices.items()},
        **{f"{name}, a late page": f"{ADMIN}/{model}/?p={late}" for name, model in choices.items()},
        "suppressions for a reason": f"{ADMIN}/suppression/?reason__exact=bounced",
        "suppressions lifted": f"{ADMIN}/suppression/?lifted=yes",
    }


_NARROWED = {"category": "news", "lane": "default", "channel": "email"}


def _answers() -> dict[str, str]:
    large = _large().pk
    return {
        "API: a large notification": f"{API}/notifications/{large}",
        "API: its deliveries": f"{API}/notifications/{large}/deliveries?cursor=50000",
        "API: those that failed": f"{API}/notifications/{large}/deliveries?state=failed",
        "API: those that wait": f"{API}/notifications/{large}/deliveries?state=pending",
        "API: did she get it?": f"{API}/deliveries?address=r7@example.org",
        "API: did the busiest get it?": f"{API}/deliveries?address={deliveries.BUSY}&limit=200",
        "API: suppressions": f"{API}/suppressions",
    }


def _large() -> Notification:
    return Notification.objects.order_by("created_at")[0]


def _search(term: str) -> str:
    return f"{LIST}?{urlencode({'q': term})}"


def _program() -> Client:
    token = ApiToken(name="bench", scopes=f"{READ.name} {SUPPRESSIONS_READ.name}").issue()
    return Client(SERVER_NAME="localhost", headers={"authorization": f"Bearer {token}"})
