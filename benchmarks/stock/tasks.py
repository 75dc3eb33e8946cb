"""The tasks of benchmarks/compare/tasks.py, one that sends a mail, and one that shows how far a worker has come."""

import time
from pathlib import Path

from celery import shared_task
from django.core.mail import send_mail


@shared_task(name="stock.noop")
def noop(number: int) -> None:
    pass


@shared_task(name="stock.measure")
def measure(sent_at: float) -> float:
    return time.monotonic() - sent_at


@shared_task(name="stock.mail")
def mail(subject: str, text: str, sender: str, to: str) -> None:
    send_mail(subject, text, sender, [to])


@shared_task(name="stock.mark")
def mark(path: str) -> None:
    Path(path).write_text(str(time.time()))
