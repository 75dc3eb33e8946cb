"""Two small tasks, which nothing here ever runs: it is their messages that are measured."""

from celery import shared_task


@shared_task(name="notifications.bench_flood")
def flood(number: int, note: str = "") -> None: ...


@shared_task(name="reporting.bench_quiet")
def quiet(number: int) -> None: ...
