"""Links in reports, which are their own permission: to one person's subscriptions, and for a while to a report's page.

They hold a row's number and nothing that could be read out of them by those they are forwarded to.
"""

from datetime import UTC, timedelta

from django.conf import settings
from django.core import signing
from django.utils import timezone

PREFIX = "reports/"
"""Of the public pages. Written out here: to ask Django for a URL would load all pages, in each worker."""
PAGE_LASTS = timedelta(days=90)
_SUBSCRIPTION, _PAGE = "reporting.subscription", "reporting.page"


class BadLink(ValueError):
    """A link that we have not made, that was altered, or whose time is over."""


def subscriptions_url(subscription: int) -> str:
    """Where a person sees and changes what they get; it lasts."""
    return f"{settings.SITE_URL}/{PREFIX}subscriptions/{subscription_token(subscription)}"


def subscription_token(subscription: int) -> str:
    return signing.Signer(salt=_SUBSCRIPTION).sign(str(subscription))


def read_subscription(token: str) -> int:
    """Raises BadLink."""
    try:
        return int(signing.Signer(salt=_SUBSCRIPTION).unsign(token))
    except (signing.BadSignature, ValueError):
        raise BadLink from None


class _OfToday(signing.TimestampSigner):
    """The same link all day long, in UTC, so that mails of a day are alike."""

    def timestamp(self) -> str:
        midnight = timezone.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return signing.b62_encode(int(midnight.timestamp()))


def page_url(edition: int) -> str:
    """The report as a web page, without a login."""
    return f"{settings.SITE_URL}/{PREFIX}{_OfToday(salt=_PAGE).sign(str(edition))}"


def read_page(token: str) -> int:
    """Raises BadLink."""
    try:
        return int(signing.TimestampSigner(salt=_PAGE).unsign(token, max_age=PAGE_LASTS))
    except (signing.BadSignature, ValueError):
        raise BadLink from None
