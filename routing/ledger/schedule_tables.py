"""The schedule's tables: what each entry is by the code that was started last, and what became of each due time."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class ScheduleEntry(models.Model):
    """An entry of ``CELERY_BEAT_SCHEDULE``, as the beat that was started last has it in its code.

    All beats go by this row, not by their own code: so two releases side by side never differ.
    """

    name = models.CharField(_("name"), max_length=200, primary_key=True)
    task = models.CharField(_("task"), max_length=255, db_default="")
    timing = models.CharField(_("due"), max_length=500, db_default="")
    """When it is due, in words; due times are the same where this is. Empty while the entry is broken."""
    definition = models.TextField(db_default="")
    """JSON, as routing/schedule/definition.py writes it. Empty while the entry is broken."""
    fingerprint = models.CharField(max_length=64, db_default="")
    defined_at = models.DateTimeField()
    """When the beat was started whose code this is."""
    anchor = models.DateTimeField()
    """What an interval is counted from; it never changes."""
    decided_until = models.DateTimeField(_("decided until"))
    """Of each due time up to this one it is decided what became of it. It only moves forward."""
    paused_at = models.DateTimeField(_("paused at"), null=True)
    paused_by = models.CharField(_("paused by"), max_length=255, db_default="")
    pause_reason = models.TextField(_("reason"), db_default="")
    resumed_at = models.DateTimeField(_("resumed at"), null=True)
    """What was due by then, and is not decided, was due in the pause."""
    resumed_by = models.CharField(_("resumed by"), max_length=255, db_default="")
    removed_at = models.DateTimeField(_("removed at"), null=True)
    """Since when the code has it no more."""
    trouble = models.TextField(_("trouble"), db_default="")
    """What is wrong with it, and the cure; nothing is due meanwhile."""

    class Meta:
        verbose_name = _("schedule entry")
        verbose_name_plural = _("schedule entries")

    def __str__(self) -> str:
        return self.name


class ScheduleSlot(models.Model):
    """A due time of an entry, and what became of it: the task that was fired for it, or why it was missed.

    One row for each due time, whoever writes it first: that is the whole election between beats.
    """

    class Missed(models.TextChoices):
        SUPERSEDED = "superseded", _("a later one was due as well")
        LATE = "late", _("past its deadline")
        PAUSED = "paused", _("the entry was paused")
        CHANGED = "changed", _("the entry was changed or removed before any beat came to it")
        REFUSED = "refused", _("its task could not be enqueued")

    id = models.BigAutoField(primary_key=True)
    entry = models.CharField(_("entry"), max_length=200)
    due_at = models.DateTimeField(_("due at"))
    decided_at = models.DateTimeField(_("decided at"))
    """When its task was enqueued, or when it was recorded as missed."""
    task_id = models.CharField(_("task id"), max_length=255, db_default="")
    missed = models.CharField(_("missed"), max_length=20, choices=Missed, db_default="")
    detail = models.TextField(_("detail"), db_default="")
    asked_by = models.CharField(_("asked by"), max_length=255, db_default="")
    """Who had it run by hand; its due time is then when he asked."""

    class Meta:
        verbose_name = _("slot")
        verbose_name_plural = _("slots")
        constraints = [models.UniqueConstraint(fields=["entry", "due_at"], name="routing_scheduleslot_once")]
        indexes = [models.Index(fields=["due_at"], name="routing_scheduleslot_due")]

    def __str__(self) -> str:
        return f"{self.entry}, {self.due_at:%Y-%m-%d %H:%M:%S}"
