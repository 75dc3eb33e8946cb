"""Django's admin and django-celery-results as their documentation sets them up, on the database that is there."""

from benchmarks.console.timing import STOPPED_AFTER
from benchmarks.stock.settings import (  # noqa: F401
    CELERY_RESULT_BACKEND,
    CELERY_RESULT_EXTENDED,
    DATABASES,
    DEFAULT_AUTO_FIELD,
    SECRET_KEY,
    TIME_ZONE,
    USE_TZ,
)

# A search of all columns would else take many minutes.
DATABASES["default"]["OPTIONS"] = {"options": f"-c statement_timeout={STOPPED_AFTER * 1000}"}
ALLOWED_HOSTS = ["localhost"]
ROOT_URLCONF = "benchmarks.console.stock_urls"
STATIC_URL = "/static/"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_celery_results",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
