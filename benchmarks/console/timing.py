"""Pages through Django's test client: how long each takes, and that it is what was asked for."""

import random
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import OperationalError

if TYPE_CHECKING:
    from django.test import Client

STOPPED_AFTER = 60
"""Seconds for a statement of the stock admin; its page counts as having taken so long."""


def signed_in() -> "Client":
    from django.contrib.auth.models import User
    from django.test import Client

    user, _made = User.objects.get_or_create(username="bench", is_staff=True, is_superuser=True)
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    return client


def milliseconds(client: "Client", pages: Mapping[str, str], *, rounds: int) -> dict[str, list[float]]:
    """Of each page, by name, in every round; the first time counts like any other."""
    found: dict[str, list[float]] = {name: [] for name in pages}
    chance = random.Random(5)  # noqa: S311
    for _ in range(rounds):
        for name in chance.sample(list(pages), len(pages)):
            found[name].append(_ask(client, pages[name]))
    return found


def _ask(client: "Client", url: str) -> float:
    began = time.perf_counter()
    try:
        response: Any = client.get(url)
    except OperationalError as error:
        if "statement timeout" not in str(error):
            raise
        return (time.perf_counter() - began) * 1000
    taken = (time.perf_counter() - began) * 1000
    if response.status_code != 200:
        raise SystemExit(f"{url} answered {response.status_code}")
    return taken
