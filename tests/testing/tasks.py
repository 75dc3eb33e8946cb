"""Tasks as an application might have them, each with its own way of using the transaction."""

from celery import shared_task
from django.contrib.auth.models import Group
from django.db import transaction

from routing.errors import PermanentError

done_at_commit: list[str] = []


@shared_task(name="reporting.testing_take")
def take(name: str) -> None:
    Group.objects.create(name=name)


@shared_task(name="reporting.testing_take_and_fail")
def take_and_fail(name: str) -> None:
    Group.objects.create(name=name)
    raise PermanentError("after its effect")


@shared_task(name="reporting.testing_take_and_fail_atomically", atomic=True)  # type: ignore[call-overload]
def take_and_fail_atomically(name: str) -> None:
    Group.objects.create(name=name)
    raise PermanentError("after its effect")


@shared_task(name="reporting.testing_act_at_commit")
def act_at_commit(name: str) -> None:
    with transaction.atomic():
        transaction.on_commit(lambda: done_at_commit.append(name))


@shared_task(name="reporting.testing_go_on")
def go_on() -> None:
    go_on.delay()
