"""Pause, go on with, end and take up again a subscription. Each tells whether it changed anything."""

from django.db.models import QuerySet
from django.utils import timezone

from reporting.subscribing.tables import Subscription


def active() -> "QuerySet[Subscription]":
    return Subscription.objects.filter(paused_at=None, ended_at=None)


def of_same_person(one: Subscription) -> "QuerySet[Subscription]":
    return Subscription.objects.filter(email__iexact=one.email)


def pause(one: Subscription) -> bool:
    """What is due meanwhile is not made up for. Safe to call again."""
    return _mine(one).filter(paused_at=None, ended_at=None).update(paused_at=timezone.now()) == 1


def resume(one: Subscription) -> bool:
    """From what is due next on. Safe to call again."""
    paused = _mine(one).filter(ended_at=None).exclude(paused_at=None)
    return paused.update(paused_at=None, counts_from=timezone.now()) == 1


def end(one: Subscription) -> bool:
    """Safe to call again."""
    return _mine(one).filter(ended_at=None).update(ended_at=timezone.now()) == 1


def take_up(one: Subscription) -> bool:
    """Subscribe again, from what is due next on. Safe to call again."""
    ended = _mine(one).exclude(ended_at=None)
    return ended.update(ended_at=None, paused_at=None, counts_from=timezone.now()) == 1


def speak(language: str, one: Subscription) -> bool:
    """All that the person is subscribed to comes in that language from now on. Safe to call again."""
    return of_same_person(one).exclude(language=language).update(language=language) > 0


def _mine(one: Subscription) -> "QuerySet[Subscription]":
    return Subscription.objects.filter(pk=one.pk)
