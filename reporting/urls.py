"""The pages behind the links in reports."""

from django.urls import URLPattern, path

from reporting import pages

app_name = "reporting"

urlpatterns: list[URLPattern] = [
    path("subscriptions/<str:token>", pages.subscriptions, name="subscriptions"),
    path("<str:token>", pages.report, name="page"),
]
