"""The business domains of this project. Add one here, and it has queues, routes, a worker pool per lane and checks."""

from datetime import timedelta

from project.environment import Environment
from project.marking import gettext_noop
from routing.domains import Domain, Lane, RetryPolicy, Targets

# Whoever runs these three, as reports name them; the settings import this file.
OWNER = Environment().text("TASKYARD_OWNER", "Operations")
CONTACT = Environment().contact("TASKYARD_CONTACT")

DOMAINS = (
    Domain(
        name="notifications",
        lanes=(Lane("default"), Lane("urgent"), Lane("bulk", nice=10)),
        concurrency=1,
        # A retry waits in the worker and takes one of these places until it is due.
        prefetch=16,
        soft_time_limit=timedelta(seconds=45),
        # A server that hangs is waited for twice EMAIL_TIMEOUT: up to a message's last line, and for the answer to it.
        time_limit=timedelta(seconds=75),
        owner=OWNER,
        contact=CONTACT,
        noun=gettext_noop("messages"),
        targets=Targets(success=0.99, wait=timedelta(minutes=1), run=timedelta(seconds=30)),
    ),
    Domain(
        name="reporting",
        prefetch=1,
        soft_time_limit=timedelta(minutes=14),
        time_limit=timedelta(minutes=15),
        retry=RetryPolicy(first_delay=timedelta(minutes=1)),
        owner=OWNER,
        contact=CONTACT,
        noun=gettext_noop("reports"),
        targets=Targets(success=0.99, wait=timedelta(minutes=15), run=timedelta(minutes=5)),
    ),
    Domain(
        name="maintenance",
        # Celery's own clean-up, should anybody schedule it, is housekeeping too.
        tasks=("maintenance.*", "celery.backend_cleanup"),
        prefetch=1,
        soft_time_limit=timedelta(minutes=14),
        time_limit=timedelta(minutes=15),
        owner=OWNER,
        contact=CONTACT,
        noun=gettext_noop("housekeeping tasks"),
        targets=Targets(success=0.95, wait=timedelta(minutes=15), run=timedelta(minutes=10)),
    ),
)
