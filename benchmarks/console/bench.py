"""Our pages, those that indexes serve and those whose time is limited; then the stock admin's, with its own indexes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django.utils import timezone
from django_celery_results.models import TaskResult

from benchmarks.console import rows as results
from benchmarks.console import timing
from benchmarks.relay.sheet import Sheet, percentile
from routing.console.searching.pages import Place
from routing.ledger import database

ROOT = Path(__file__).resolve().parents[2]
LIST = "/admin/django_celery_results/taskresult/"
SEARCHES = (
    *("state:failure", "state:failure,revoked since:2d", "task:shop.*", "task:shop.close state:failure"),
    *("task:nothing.*", "domain:notifications", "domain:reporting state:revoked", "since:31d until:30d"),
    *("state:success task:billing.charge until:20d",),
)
LIMITED = (
    "worker:app-3",
    "worker:nobody",
    "args.user_id:4242",
    "error:10.0.0.17",
    '"Number 77"',
    "waited:>5s task:shop.pay",
)


def measure(sheet: Sheet, *, rows: int, rounds: int, stock_rounds: int) -> dict[str, Any]:
    began = time.monotonic()
    results.make(rows)
    results.count_the_last_day(rows)
    (size,) = database.rows("SELECT pg_total_relation_size(%s) AS bytes", [results.TABLE])
    sheet.say(f"{rows:,} results, {size['bytes'] / 1e9:.1f} GB, made in {time.monotonic() - began:.0f} s")
    client = timing.signed_in()
    served = _told(sheet, "served by indexes", timing.milliseconds(client, _served(), rounds=rounds))
    limited = _told(sheet, "limited to 2 s", timing.milliseconds(client, _of(LIMITED), rounds=3))
    figures = {
        "rows": rows,
        "worst_p95_ms": max(served.values()),
        "p95_ms": served,
        "worst_limited_p95_ms": max(limited.values()),
        "limited_p95_ms": limited,
    }
    if stock_rounds:
        stock = _stock(sheet, stock_rounds)
        figures |= {"stock_worst_p95_ms": max(stock.values()), "stock_p95_ms": stock}
    return figures


def _served() -> dict[str, str]:
    long_ago = timezone.now() - timedelta(days=40)
    details = {
        f"detail, {status}": f"{LIST}{TaskResult.objects.filter(status=status).values_list('pk', flat=True)[0]}/change/"
        for status in ("SUCCESS", "FAILURE")
    }
    known = TaskResult.objects.values_list("task_id", flat=True)[0]
    return {
        "start page": "/admin/",
        "queues and pools": "/admin/pools/",
        "list": LIST,
        "list, 40 days back": f"{LIST}?before={Place(long_ago, 0)}",
        "filter by domain": f"{LIST}?domain=reporting",
        "filter by state": f"{LIST}?state=FAILURE",
        "filter by task": f"{LIST}?task=maintenance.roll_up",
        "filter by day": f"{LIST}?day={long_ago:%Y-%m-%d}",
        **_of([*SEARCHES, known]),
        **details,
    }


def _of(searches: Sequence[str]) -> dict[str, str]:
    return {search: f"{LIST}?{urlencode({'q': search})}" for search in searches}


def _stock(sheet: Sheet, rounds: int) -> dict[str, float]:
    """In a process of its own, with Django's admin as it comes."""
    results.use_the_stock_indexes()
    known = TaskResult.objects.values_list("pk", "task_id")[0]
    pages = {
        "list": LIST,
        "page 1000": f"{LIST}?p=1000",
        "filter by state": f"{LIST}?status__exact=FAILURE",
        "filter by task": f"{LIST}?task_name__exact=maintenance.roll_up",
        "search by id": f"{LIST}?{urlencode({'q': known[1]})}",
        "search by text": f"{LIST}?q=4242",
        "detail": f"{LIST}{known[0]}/change/",
    }
    environment = {
        **os.environ,
        "STOCK_DATABASE_URL": os.environ["DATABASE_URL"],
        "DJANGO_SETTINGS_MODULE": "benchmarks.console.stock_settings",
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.console.stock", str(rounds)],
        cwd=ROOT, env=environment, input=json.dumps(pages), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return _told(sheet, "stock django-celery-results", json.loads(done.stdout.splitlines()[-1]))


def _told(sheet: Sheet, title: str, taken: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """p95 of each page; of few rounds that is nearly the longest."""
    sheet.say(f"\n{title:44} {'p50':>10} {'p95':>10}   ms")
    for name, times in taken.items():
        sheet.say(f"  {name:42} {percentile(times, 50):10.0f} {percentile(times, 95):10.0f}")
    return {name: round(percentile(times, 95), 1) for name, times in taken.items()}
