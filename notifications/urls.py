"""The pages behind the links in messages, and where bounces and complaints are reported."""

from django.apps import apps
from django.urls import URLPattern, URLResolver, include, path

from notifications.consent import endpoint, pages, tracking

app_name = "notifications"

tracking.connect()

urlpatterns: list[URLPattern | URLResolver] = [
    path("unsubscribe/<str:token>", pages.unsubscribe, name="unsubscribe"),
    path("preferences/<str:token>", pages.preferences, name="preferences"),
    path("events", endpoint.events, name="events"),
    path("events/<str:secret>", endpoint.events, name="events_by_secret"),
]
if apps.is_installed("anymail"):
    urlpatterns.append(path("anymail/", include("anymail.urls")))
