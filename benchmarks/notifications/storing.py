"""How fast ``notify_many`` stores, in what memory: ``python -m benchmarks.notifications.storing COUNT [KIND]``

On the database of DATABASE_URL, whose tables it fills. KIND is what the recipients come from: iterator (the default),
values, with two values for each, queryset, of users that it makes, or template, with three values for each, one of
which is secret. The last line is JSON.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import django

from benchmarks.cleaning import memory

PAGE = 1000
KINDS = ("iterator", "values", "queryset", "template")
TEMPLATE = "bench"


def main(count: int, kind: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    if kind == "queryset":
        _make_users(count)
    if kind == "template":
        _make_template()
    _store(_recipients(PAGE, "iterator"), "iterator")
    before, began, used = memory.most(), time.perf_counter(), time.process_time()
    _store(_recipients(count, kind), kind)
    seconds, used = time.perf_counter() - began, time.process_time() - used
    figures = {
        "stored_per_s": round(count / seconds),
        "seconds": round(seconds, 2),
        "cpu_us_each": round(used / count * 1e6),
        "grew_kb": memory.most() - before,
    }
    sys.stdout.write(json.dumps({"count": count, "kind": kind, **figures}) + "\n")


def _store(recipients: Any, kind: str) -> None:
    from notifications import services

    said: dict[str, Any] = {"subject": "Hi {{ name }}", "text": "x {{ sum }}\n", "is_merge": True}
    if kind == "template":
        said = {"template": TEMPLATE}
    services.notify_many(recipients, key=f"bench:{uuid4()}", lane="bulk", **said)


def _recipients(count: int, kind: str) -> Any:
    if kind == "template":
        return ({**one, "link": f"https://example.org/{one['sum']}"} for one in _values(count))
    if kind == "queryset":
        from django.contrib.auth import get_user_model

        return get_user_model().objects.filter(username__startswith="bench-")
    return _values(count) if kind == "values" else (f"r{number}@example.org" for number in range(count))


def _values(count: int) -> Iterator[dict[str, str]]:
    for number in range(count):
        yield {"email": f"Ann Nr. {number} <r{number}@example.org>", "name": f"Ann {number}", "sum": f"{number}.50"}


def _make_template() -> None:
    from notifications.templating import versions
    from notifications.templating.declared import Variable
    from notifications.templating.rendering import Sources
    from notifications.templating.tables import Template

    template, is_new = Template.objects.get_or_create(name=TEMPLATE)
    if is_new:
        said = Sources(
            subject="Hi {{ name }}", text="", html="<style>p { color: red }</style><p>{{ sum }} {{ link }}</p>"
        )
        names = [Variable(name=name, sample="A", secret=name == "link") for name in ("name", "sum", "link")]
        versions.save(template, said, names, after=0)


def _make_users(count: int) -> None:
    from django.contrib.auth import get_user_model

    users = get_user_model().objects
    for first in range(0, count, PAGE):
        names = [f"bench-{number}" for number in range(first, min(first + PAGE, count))]
        users.bulk_create(
            [users.model(username=name, email=f"{name}@example.org") for name in names], ignore_conflicts=True
        )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "iterator")
