"""Beat's scheduler."""

from celery.beat import PersistentScheduler


class Scheduler(PersistentScheduler):
    pass
