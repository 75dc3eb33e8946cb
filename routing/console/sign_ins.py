"""How often somebody may try to sign in: five times in a quarter of an hour for a name from one address.

An attempt is counted before the password is looked at, by a conditional update, so that many at once get no more tries
than one after the other; a right password takes its attempts away again. Names are kept as hashes only: now and then
somebody types a password there.
"""

import hashlib
import unicodedata
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Case, F, Max, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from routing.ledger import database

WINDOW = timedelta(minutes=15)
TRIES = 5
TRIES_OF_ALL = 50
"""For a name from all addresses together, and for all names from one: against many addresses, and many names."""
KEPT = timedelta(days=1)
_UNKNOWN = "unknown"


class SignInAttempts(models.Model):
    """Attempts of one name from one address that were not followed by a right password."""

    name_digest = models.CharField(max_length=64)
    address = models.CharField(_("address"), max_length=64)
    count = models.PositiveIntegerField(_("attempts"), default=0)
    last_at = models.DateTimeField(_("last"), db_default=Now(), db_index=True)

    class Meta:
        verbose_name = _("sign-in attempts")
        verbose_name_plural = _("sign-in attempts")
        constraints = [models.UniqueConstraint(fields=["name_digest", "address"], name="routing_sign_in_once")]

    def __str__(self) -> str:
        return f"{self.count} from {self.address}"


def attempt(name: str, address: str) -> timedelta | None:
    """Count an attempt. None if it may go on, or how long to wait."""
    wait = _wait_of_all(Q(name_digest=digest(name))) or _wait_of_all(Q(address=address))
    if wait:
        return wait
    _rows().filter(last_at__lt=Now() - KEPT).delete()
    own = _rows().filter(name_digest=digest(name), address=address)
    _rows().bulk_create([SignInAttempts(name_digest=digest(name), address=address)], ignore_conflicts=True)
    is_old = Q(last_at__lt=Now() - WINDOW)
    counted = Case(When(is_old, then=Value(1)), default=F("count") + 1)
    if own.filter(is_old | Q(count__lt=TRIES)).update(count=counted, last_at=Now()):
        return None
    return _left(own)


def succeeded(name: str, address: str) -> None:
    """The password was right."""
    _rows().filter(name_digest=digest(name), address=address).delete()


def refused() -> list[SignInAttempts]:
    """Names from addresses that have to wait now."""
    return list(_recent().filter(count__gte=TRIES).order_by("-last_at"))


def unlock(*, name: str = "", address: str = "") -> int:
    """Forget the attempts of a name, those from an address, or all; how many rows that were."""
    rows = _rows().filter(name_digest=digest(name)) if name else _rows()
    return (rows.filter(address=address) if address else rows).delete()[0]


def digest(name: str) -> str:
    """Alike for what looks alike: a capital letter is not a new try."""
    known = unicodedata.normalize("NFKC", name).casefold().strip()
    return hashlib.sha256(known.encode(errors="replace")).hexdigest()


def address_of(request: HttpRequest) -> str:
    """Who asks. Behind the proxy that an https address takes, the last that it wrote down; others may be made up."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    if getattr(settings, "SECURE_PROXY_SSL_HEADER", None) and forwarded:
        return forwarded.rpartition(",")[2].strip()[:64] or _UNKNOWN
    return (request.META.get("REMOTE_ADDR") or _UNKNOWN)[:64]


def _wait_of_all(which: Q) -> timedelta | None:
    recent = _recent().filter(which)
    total = recent.aggregate(total=Sum("count"))["total"] or 0
    return _left(recent) if total >= TRIES_OF_ALL else None


def _left(rows: "QuerySet[SignInAttempts]") -> timedelta:
    last: datetime | None = rows.aggregate(last=Max("last_at"))["last"]
    return max((last + WINDOW) - database.now(), timedelta(seconds=1)) if last else WINDOW


def _recent() -> "QuerySet[SignInAttempts]":
    return _rows().filter(last_at__gte=Now() - WINDOW)


def _rows() -> "QuerySet[SignInAttempts]":
    return SignInAttempts.objects.using(database.using())
