"""Why this project writes to people. Add a category here, and recipients can unsubscribe from it."""

from notifications.categories import Category, WhenUnknown

CATEGORIES = (
    Category(
        name="account",
        title="Your account",
        description="What you asked for or need to know, such as receipts and password resets.",
        required=True,
    ),
    Category(
        name="reports",
        title="Reports",
        description="Reports that you have subscribed to.",
    ),
    Category(
        name="news",
        title="News",
        description="News and offers.",
        when_unknown=WhenUnknown.ASK,
    ),
)
