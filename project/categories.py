"""Why this project writes to people. Add a category here, and recipients can unsubscribe from it."""

from django.utils.translation import gettext_lazy

from notifications.categories import Category, WhenUnknown

CATEGORIES = (
    Category(
        name="account",
        title=gettext_lazy("Your account"),
        description=gettext_lazy("What you asked for or need to know, such as receipts and password resets."),
        required=True,
    ),
    Category(
        name="reports",
        title=gettext_lazy("Reports"),
        description=gettext_lazy("Reports that you have subscribed to."),
    ),
    Category(
        name="news",
        title=gettext_lazy("News"),
        description=gettext_lazy("News and offers."),
        when_unknown=WhenUnknown.ASK,
    ),
)
