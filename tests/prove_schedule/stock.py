"""Celery's own beat, as its documentation has it: ``celery -A tests.prove_schedule.stock beat``."""

import os
import time
from datetime import datetime
from typing import Any

from celery import Celery
from celery.beat import BeatLazyFunc
from celery.schedules import BaseSchedule, schedstate
from kombu import Queue

QUEUE = "stock"
PERIODS = {"steady": 2, "slow": 5}


class EachSeconds(BaseSchedule):
    """What ``crontab`` is for minutes: due at each multiple of so many seconds since the last run."""

    def __init__(self, seconds: int, **options: Any) -> None:
        super().__init__(**options)
        self.seconds = seconds

    def is_due(self, last_run_at: datetime) -> Any:
        now = self.now().timestamp()
        due_at = (self.maybe_make_aware(last_run_at).timestamp() // self.seconds + 1) * self.seconds
        next_at = (now // self.seconds + 1) * self.seconds
        return schedstate(is_due=True, next=next_at - now) if due_at <= now else schedstate(False, due_at - now)

    def __reduce__(self) -> Any:
        return self.__class__, (self.seconds,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EachSeconds) and other.seconds == self.seconds

    __hash__ = BaseSchedule.__hash__


app = Celery("stock", broker=os.environ["BROKER_URL"])
app.conf.update(
    task_default_queue=QUEUE,
    task_queues=[Queue(QUEUE, durable=True)],
    broker_connection_retry_on_startup=True,
    beat_max_loop_interval=1,
    beat_schedule={
        name: {
            "task": "stock.proved",
            "schedule": EachSeconds(seconds),
            "args": [name, BeatLazyFunc(time.time)],
        }
        for name, seconds in PERIODS.items()
    },
)
