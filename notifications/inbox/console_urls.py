"""The inbox of whoever is signed in, as pages of the admin."""

from django.contrib import admin
from django.urls import path, re_path

from notifications.inbox import console

app_name = "inbox"
_view = admin.site.admin_view
# As long as a key can be, so that every database can look for it.
_MESSAGE = r"^(?P<number>[0-9]{1,18})/"

urlpatterns = [
    path("", _view(console.inbox), name="messages"),
    path("read/", _view(console.read_all), name="read_all"),
    re_path(rf"{_MESSAGE}$", _view(console.message), name="message"),
    re_path(rf"{_MESSAGE}read/$", _view(console.read), name="read"),
]
