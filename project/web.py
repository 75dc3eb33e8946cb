"""How gunicorn serves ``project.wsgi``: ``gunicorn --config python:project.web project.wsgi``.

WEB_CONCURRENCY sets the number of processes and GUNICORN_CMD_ARGS anything else; both are gunicorn's own.
"""

import os

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django.setup()

_address = f"[{settings.BIND}]" if ":" in settings.BIND else settings.BIND
bind = f"{_address}:{settings.PORT}"
worker_class = "gthread"
threads = 8
graceful_timeout = 8
# Once for all processes, and an application that cannot be loaded ends gunicorn at once.
preload_app = True
control_socket_disable = True
proc_name = "taskyard"
logconfig_dict = {
    **settings.LOGGING,
    "loggers": {**settings.LOGGING["loggers"], "gunicorn.error": {"handlers": ["stderr"], "propagate": False}},
}
