"""The pages behind the links in messages, users' inboxes, and where bounces and complaints are reported."""

from django.apps import apps
from django.urls import URLPattern, URLResolver, include, path

from notifications.consent import endpoint, pages, tracking
from notifications.inbox import pages as inbox

app_name = "notifications"

tracking.connect()

urlpatterns: list[URLPattern | URLResolver] = [
    path("unsubscribe/<str:token>", pages.unsubscribe, name="unsubscribe"),
    path("preferences/<str:token>", pages.preferences, name="preferences"),
    path("inbox", inbox.messages, name="inbox"),
    path("inbox/unread", inbox.unread, name="inbox_unread"),
    path("inbox/read", inbox.read, name="inbox_read"),
    path("events", endpoint.events, name="events"),
    path("events/<str:secret>", endpoint.events, name="events_by_secret"),
]
if apps.is_installed("anymail"):
    urlpatterns.append(path("anymail/", include("anymail.urls")))
