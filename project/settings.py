"""Django and Celery settings. docs/operations.md lists the environment variables that change them."""

from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from celery.schedules import crontab
from django.templatetags.static import static
from django.utils.translation import gettext_lazy

from project import encryption, logs, traces
from project.domains import DOMAINS
from project.environment import Environment
from project.secret import load_or_create
from routing.broker import names, topology

env = Environment()

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = Path(env.text("TASKYARD_VAR", str(BASE_DIR / "var")))

# The API's documentation has its templates and scripts from here. As an installed app it would be loaded, and pydantic
# with it, by every worker, relay and beat.
NINJA = Path(str(find_spec("ninja").origin)).parent  # type: ignore[union-attr]

# --- Django -----------------------------------------------------------------------------------------------------------
DEBUG = env.boolean("DEBUG", default=False)
SECRET_KEY = env.text("SECRET_KEY", "") or load_or_create(VAR / "secret_key")
# Keys that were in use before: links in old e-mails are made with them.
SECRET_KEY_FALLBACKS = env.text("SECRET_KEY_FALLBACKS", "").split()

PORT = env.port("PORT", 8000)
BIND = env.text("BIND", "127.0.0.1")
SITE_URL = env.text("SITE_URL", f"http://localhost:{PORT}").rstrip("/")
_site = urlsplit(SITE_URL)
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", *filter(None, [_site.hostname])]
CSRF_TRUSTED_ORIGINS = [f"{_site.scheme}://{_site.netloc}"]
if _site.scheme == "https":
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    # Probes reach the process itself, behind whatever ends TLS.
    SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics$"]
    SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds())
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

INSTALLED_APPS = [
    "unfold",
    "routing.console.admin_app.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "routing.console.results_app.ResultsConfig",
    "routing",
    "notifications",
    "reporting",
    "project",
    # Its “5 minutes ago” is translated only where it is installed; the last, so that our own words go before its.
    "django.contrib.humanize",
]
MIDDLEWARE = [
    "routing.console.request_ids.RequestIdMiddleware",
    "routing.console.trace_contexts.TraceContextMiddleware",
    "routing.console.problems.ProblemMiddleware",
    "routing.console.content_policy.ContentPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "routing.console.away.DatabaseAwayMiddleware",
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "project" / "templates", NINJA / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
# Django's own, which knows of people that are limited to some domains.
AUTHENTICATION_BACKENDS = ["routing.console.rights.LimitedBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{validator}"}
    for validator in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{VAR / 'taskyard.sqlite3'}")}
encryption.require_usable("DATABASE_URL", DATABASES["default"])
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 30,
        # Take the write lock when a transaction begins: SQLite cannot wait for it later without risking a deadlock.
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
else:
    # What DATABASE_URL asks for, such as sslmode, goes first.
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 5,
        # A server whose machine is gone says nothing: noticed within a minute, where the system would take two hours.
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        **DATABASES["default"].get("OPTIONS", {}),
    }

# Past a pooler such as PgBouncer, to the server itself: there a relay listens for what is enqueued.
TASKYARD_DATABASE_IS_POOLED = bool(env.text("DATABASE_DIRECT_URL", ""))
TASKYARD_DIRECT_DATABASE = {}
if TASKYARD_DATABASE_IS_POOLED:
    _direct = env.database("DATABASE_DIRECT_URL", "")
    encryption.require_usable("DATABASE_DIRECT_URL", _direct)
    TASKYARD_DIRECT_DATABASE = {name: _direct[name] for name in ("HOST", "PORT", "USER", "PASSWORD", "NAME")}
    # The pooler may be on this machine, and need no TLS that the way to the server does need.
    TASKYARD_DIRECT_DATABASE["OPTIONS"] = {**DATABASES["default"]["OPTIONS"], **_direct.get("OPTIONS", {})}
# Each transaction may run in another session there, and such a cursor needs one for itself.
DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = TASKYARD_DATABASE_IS_POOLED

CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "project_cache"}}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("fr", "Français")]
FORMAT_MODULE_PATH = "project.formats"
USE_I18N = True
USE_TZ = True
TIME_ZONE = env.time_zone("TIME_ZONE", "UTC")

STATIC_URL = "/static/"
STATICFILES_DIRS = [NINJA / "static"]
# Where files are kept until they are sent. Workers on several machines need a storage that all of them reach.
MEDIA_ROOT = VAR / "files"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Served straight from the apps' folders: no collectstatic step before the first page.
WHITENOISE_USE_FINDERS = True

DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "taskyard@localhost")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
EMAIL_TIMEOUT = 20
vars().update(env.email("EMAIL_URL", f"filemail:///{VAR / 'mail'}"))
# A lane whose mail goes another way, such as newsletters through a provider: EMAIL_URL_BULK.
TASKYARD_EMAIL_LANES = env.email_lanes(
    "EMAIL_URL_", [lane.name for domain in DOMAINS if domain.claims("notifications.deliver") for lane in domain.lanes]
)
# The files that go with an e-mail, all together; most servers take no more than 10 to 25 MB.
TASKYARD_MAX_ATTACHMENTS = env.integer("TASKYARD_MAX_ATTACHMENTS", 10_000_000, lowest=1)

# How fast a channel, or one host behind it, is sent to by all workers together.
NOTIFICATIONS_LIMITS = env.rates("NOTIFICATIONS_LIMITS")
# Webhooks go to public addresses, and to those of these networks.
NOTIFICATIONS_WEBHOOK_NETWORKS = env.networks("NOTIFICATIONS_WEBHOOK_NETWORKS")

LOG_FORMAT = env.choice("LOG_FORMAT", "text", ("text", "json"))
LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = logs.config(fmt=LOG_FORMAT, level=LOG_LEVEL)
# As OpenTelemetry's own variables have it; docs/operations.md, "Traces".
TASKYARD_TRACES = traces.exporter(env)

UNFOLD = {
    "SITE_TITLE": "Taskyard",
    "SITE_HEADER": "Taskyard",
    "SITE_SUBHEADER": gettext_lazy("Task pipeline"),
    "SITE_SYMBOL": "conveyor_belt",
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "LOGIN": {"form": "routing.console.sign_in_form.SignInForm"},
    "DASHBOARD_CALLBACK": "routing.console.start_page.context",
    "STYLES": [lambda _request: static("console/console.css"), lambda _request: static("notifications/inbox.css")],
    "SCRIPTS": [lambda _request: static("console/cursor.js")],
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("console/favicon.svg")}],
    "SIDEBAR": {"navigation": "routing.console.navigation.groups"},
}

# --- The pipeline -----------------------------------------------------------------------------------------------------
TASKYARD_DOMAINS = "project.domains.DOMAINS"
TASKYARD_CATEGORIES = "project.categories.CATEGORIES"
# Part of the address that providers report bounces and complaints to.
TASKYARD_FEEDBACK_SECRETS = env.secrets("TASKYARD_FEEDBACK_SECRET")
# Where reports ask what became of their mails, and who wants none.
TASKYARD_REPORT_MAILS = "project.report_mails"
# Where the console learns what ended in each hour of the last day.
TASKYARD_HISTORY = "reporting.rollups.hours.past_day"
TASKYARD_SCOPES = "project.scopes.SCOPES"
BROKER_PORT = env.port("BROKER_PORT", 5690)
BROKER_URL_IS_GIVEN = bool(env.text("BROKER_URL", ""))
# RabbitMQ takes a message back that a worker held this long; a system check keeps all time limits below it.
TASKYARD_CONSUMER_TIMEOUT = timedelta(seconds=env.integer("BROKER_CONSUMER_TIMEOUT", 1800, lowest=60))
# Before the name of each queue and exchange, so that several installations can share a broker.
TASKYARD_NAMESPACE = env.namespace("TASKYARD_NAMESPACE")
# Returns of a message to its queue after which RabbitMQ sets it aside. A change needs manage.py topology apply.
TASKYARD_DELIVERY_LIMIT = env.integer("TASKYARD_DELIVERY_LIMIT", topology.DELIVERY_LIMIT, lowest=20)
# How many of each process run together, for the sum of connections to the database; one of each that is not named.
TASKYARD_REPLICAS = env.counts("TASKYARD_REPLICAS")
WEB_CONCURRENCY = env.integer("WEB_CONCURRENCY", 1, lowest=1)
# Whoever shows it may read /metrics; without it, programs on this machine alone.
TASKYARD_METRICS_TOKEN = env.secret("TASKYARD_METRICS_TOKEN")
# Who is told what is wrong, without the pipeline; docs/operations.md, "Alerts".
TASKYARD_ALERTS_EMAIL = env.addresses("TASKYARD_ALERTS_EMAIL")
TASKYARD_ALERTS_WEBHOOK = env.address_of_web("TASKYARD_ALERTS_WEBHOOK")
TASKYARD_ALERTS_AFTER = timedelta(seconds=env.integer("TASKYARD_ALERTS_AFTER", 120, lowest=15, highest=86_400))
TASKYARD_ALERTS_WINDOW = timedelta(seconds=env.integer("TASKYARD_ALERTS_WINDOW", 3600, lowest=300, highest=604_800))
# Services elsewhere that call people when these signs of life stop coming.
TASKYARD_PINGS = {
    "beat": env.address_of_web("TASKYARD_PING_BEAT_URL"),
    "weekly-report": env.address_of_web("TASKYARD_PING_WEEKLY_REPORT_URL"),
}
TASKYARD_MAX_PAYLOAD = env.integer("TASKYARD_MAX_PAYLOAD", 1024 * 1024, lowest=1024)
# A relay keeps this many messages ready in each queue, confirms so many together, and waits so long for that.
TASKYARD_DEAD_AFTER = env.integer("TASKYARD_DEAD_AFTER", 21, lowest=5)
# A supervisor kills what has not ended so many seconds after its SIGTERM; deploy/ has the same figure.
TASKYARD_STOP_WITHIN = env.integer("TASKYARD_STOP_WITHIN", 40, lowest=12)
TASKYARD_RELAY_WINDOW = env.integer("TASKYARD_RELAY_WINDOW", 5000, lowest=1)
TASKYARD_RELAY_BATCH = env.integer("TASKYARD_RELAY_BATCH", 200, lowest=1)
TASKYARD_RELAY_CONFIRM_TIMEOUT = timedelta(seconds=env.integer("TASKYARD_RELAY_CONFIRM_TIMEOUT", 15, lowest=1))
# Results and dead letters have theirs in project/domains.py.
TASKYARD_REPORTS_KEPT = timedelta(days=env.integer("TASKYARD_REPORTS_KEPT_DAYS", 1100, lowest=35, highest=36_525))
# What notifications said goes before the rows that tell what became of them; a key counts as long as its notification.
TASKYARD_CONTENTS_KEPT = timedelta(days=env.integer("TASKYARD_CONTENTS_KEPT_DAYS", 30, lowest=1, highest=36_525))
TASKYARD_ATTEMPTS_KEPT = timedelta(days=env.integer("TASKYARD_ATTEMPTS_KEPT_DAYS", 90, lowest=1, highest=36_525))
TASKYARD_NOTIFICATIONS_KEPT = timedelta(
    days=env.integer("TASKYARD_NOTIFICATIONS_KEPT_DAYS", 365, lowest=1, highest=36_525)
)
# Roll-ups by the hour outlive the results that they count.
TASKYARD_ROLLUPS_KEPT = timedelta(days=env.integer("TASKYARD_ROLLUPS_KEPT_DAYS", 730, lowest=35, highest=36_525))

# --- Celery -----------------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = env.broker("BROKER_URL", f"amqp://guest:guest@127.0.0.1:{BROKER_PORT}//")
# Whom we trust to have signed the certificate of a broker with amqps://; None: whom the system trusts.
TASKYARD_BROKER_CA = encryption.broker_ca(env.text("BROKER_CA", ""), broker_url=CELERY_BROKER_URL)
# Who we are, for a broker that asks for a certificate, too.
TASKYARD_BROKER_CERTIFICATE, TASKYARD_BROKER_KEY = encryption.broker_certificate(
    env.text("BROKER_CERTIFICATE", ""), env.text("BROKER_KEY", ""), broker_url=CELERY_BROKER_URL
)
CELERY_BROKER_LOGIN_METHOD = encryption.broker_login(
    env.choice("BROKER_LOGIN", encryption.BY_PASSWORD, encryption.LOGINS),
    certificate=TASKYARD_BROKER_CERTIFICATE,
    broker_url=CELERY_BROKER_URL,
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# A channel that RabbitMQ closes (a consumer time-out, a queue declared otherwise) does not end a worker.
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_HEARTBEAT = 20
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Not "confirm_publish": tasks are published by relays, which confirm by the batch. What Celery publishes itself are
    # events and answers to remote control, and each would wait for its confirmation.
    # Without these a broker that hangs would hang whoever publishes.
    "connect_timeout": 5,
    "read_timeout": 15,
    "write_timeout": 15,
}
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 3,
    "interval_start": 0.1,
    "interval_step": 0.5,
    "interval_max": 1,
}

# A worker keeps its database connection; the claim before each body finds out whether it still works.
CELERY_DB_REUSE_MAX = 10**9

CELERY_RESULT_BACKEND = "routing.worker.backend:ResultBackend"
CELERY_RESULT_EXTENDED = True
# maintenance.cleanup prunes results by each domain's retention; Celery's own clean-up would go by one age for all.
CELERY_RESULT_EXPIRES = None

CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_TIMEZONE = TIME_ZONE
CELERY_ENABLE_UTC = True

CELERY_TASK_QUEUES = topology.task_queues(DOMAINS, delivery_limit=TASKYARD_DELIVERY_LIMIT)
CELERY_TASK_ROUTES = ["routing.router.route"]
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_DEFAULT_QUEUE = DOMAINS[0].queue()
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 15 * 60
# Celery's defaults, written out: it asks for them with each call, and looks for an absent one under all its old names.
CELERY_TASK_ALWAYS_EAGER = False
CELERY_TASK_INHERIT_PARENT_PRIORITY = False
CELERY_TASK_REPR_MAXLEVELS = 3
CELERY_TASK_SEND_SENT_EVENT = False

# What Celery declares by itself, for remote control, its answers and events.
CELERY_CONTROL_EXCHANGE = names.physical("celery")
CELERY_EVENT_EXCHANGE = names.physical("celeryev")
CELERY_EVENT_QUEUE_PREFIX = names.physical("celeryev")
# A broker user without configure rights cannot have the queues of remote control.
CELERY_WORKER_ENABLE_REMOTE_CONTROL = env.boolean("TASKYARD_REMOTE_CONTROL", default=True)

CELERY_WORKER_CONSUMER = "routing.worker.consumer:Consumer"
# Stands in for Celery's own wherever no other pool, such as threads, is asked for; for --pool=prefork, too.
CELERY_WORKER_POOL = "routing.worker.prefork:TaskPool"
# A running task outlives its connection: the ledger refuses the copy that the broker then delivers again.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
# What SIGQUIT leaves them; SIGTERM, that is TASKYARD_STOP_WITHIN less ten seconds.
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = min(5.0, TASKYARD_STOP_WITHIN - 10)

CELERY_BEAT_SCHEDULER = "routing.schedule.scheduler:Scheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_BEAT_SCHEDULE = {
    "roll-up": {"task": "maintenance.roll_up", "schedule": crontab(minute="*/5")},
    "end-deliveries": {"task": "maintenance.end_deliveries", "schedule": crontab(minute="3-59/10")},
    "clean-up": {"task": "maintenance.cleanup", "schedule": crontab(hour=2, minute=0)},
    # Whoever's hour has come gets what they are subscribed to, wherever their clock is.
    "reports": {"task": "reporting.dispatch", "schedule": crontab(minute="*/5")},
    "weekly-report": {
        "task": "reporting.weekly",
        "schedule": crontab(hour=9, minute=0, day_of_week="monday"),
    },
}
