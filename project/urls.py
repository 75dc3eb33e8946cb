"""Every URL of the project."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from notifications.consent.links import PREFIX
from project import api
from reporting.links import PREFIX as REPORTS
from routing.console import health, metrics

# Here and not when Django is set up: most processes have no use for the pages.
admin.autodiscover()

urlpatterns = [
    # Browsers ask for it by themselves where a page names none.
    path("favicon.ico", RedirectView.as_view(url=f"/{settings.STATIC_URL.strip('/')}/console/favicon.svg")),
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", include("routing.console.urls")),
    path("admin/inbox/", include("notifications.inbox.console_urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path(PREFIX, include("notifications.urls")),
    path(REPORTS, include("reporting.urls")),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("metrics", metrics.metrics),
]
