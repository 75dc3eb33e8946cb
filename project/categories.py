"""Why this project writes to people. Add a category here, and recipients can unsubscribe from it."""

from django.utils.translation import gettext_noop

from notifications.categories import Category, WhenUnknown

CATEGORIES = (
    Category(
        name="account",
        title=gettext_noop("Your account"),
        description=gettext_noop("What you asked for or need to know, such as receipts and password resets."),
        required=True,
    ),
    Category(
        name="reports",
        title=gettext_noop("Reports"),
        description=gettext_noop("Reports that you have subscribed to."),
    ),
    Category(
        name="news",
        title=gettext_noop("News"),
        description=gettext_noop("News and offers."),
        when_unknown=WhenUnknown.ASK,
    ),
)
