"""The web application, for gunicorn: ``project.wsgi``."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = get_wsgi_application()
# Now, once for all processes, rather than with the first request to each.
get_resolver().url_patterns  # noqa: B018  (loads them)
